// Restart: Xu et al. 2023, "Restart Sampling for Improving Generative Processes", algorithm 1. Heun's method down the
// levels; on reaching restart_sigma_min, noise lifts the picture back to restart_sigma_max and it walks down again,
// restart_count times: noise, like ancestral methods, and the ODE's accuracy between.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/churn.h"
#include "unnoise/schedulers/heun.h"
#include "unnoise/schedulers/k_diffusion.h"

namespace unnoise {
namespace {

constexpr auto kRestartName = "RestartScheduler";
constexpr int64_t kMostRestartSteps = 100'000;

struct RestartConfig : KConfig {
  int64_t restart_steps = 4;
  int64_t restart_count = 2;
  double restart_sigma_min = 0.1;
  double restart_sigma_max = 2;

  static constexpr auto fields() {
    using C = RestartConfig;
    return std::tuple_cat(
        KConfig::fields(),
        std::tuple{field("restart_steps", &C::restart_steps, "steps of each way down again, 1 or more"),
                   field("restart_count", &C::restart_count, "how often it goes back up; 0 = plain Heun"),
                   field("restart_sigma_min", &C::restart_sigma_min, "go back up at the level nearest to this"),
                   field("restart_sigma_max", &C::restart_sigma_max, "and up to this level")});
  }
};

void check_restart(const RestartConfig& config) {
  if (config.restart_steps < 1 || config.restart_count < 0 || config.restart_steps > kMostRestartSteps ||
      config.restart_count > kMostRestartSteps / config.restart_steps)
    throw usage_error(
        fmt::format("{}: expected restart_steps from 1, restart_count from 0 and at most {} steps in all, "
                    "found {} and {}",
                    kRestartName, kMostRestartSteps, config.restart_steps, config.restart_count));
  const double min = config.restart_sigma_min, max = config.restart_sigma_max;
  if (!(min > 0 && min < max && std::isfinite(max)))
    throw usage_error(
        fmt::format("{}: expected 0 < restart_sigma_min < restart_sigma_max, found {} and {}", kRestartName, min, max));
}

/// The index of the level, neither the first nor the last, that is nearest to `sigma`; 0 where there is none.
size_t nearest(const std::vector<float>& sigmas, double sigma) {
  size_t best = 0;
  for (size_t i = 1; i + 1 < sigmas.size(); ++i)
    if (best == 0 || std::abs(sigmas[i] - sigma) < std::abs(sigmas[best] - sigma)) best = i;
  return best;
}

class RestartScheduler final : public SigmaScheduler<RestartConfig> {
 public:
  RestartScheduler(const RestartConfig& config, const Json& json) : SigmaScheduler(kRestartName, config, json) {
    check_restart(config);
  }

  std::vector<std::string_view> run_options() const override { return {"timesteps", "sigmas", "s_noise"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    check_s_noise(options.s_noise);
    const auto sigmas = with_last(k_grid(config_, table_, options).sigmas, k_last(options));
    const size_t low = nearest(sigmas, config_.restart_sigma_min);
    std::vector<Stretch> stretches;
    for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
      if (i == low && low > 0) append_restarts(sigmas[low], sigmas.front(), options.s_noise, stretches);
      stretches.push_back({sigmas[i], sigmas[i + 1], {}});
    }
    return Run(heun_timesteps(table_, stretches), stretch_begin(options.begin),
               init_noise_sigma(config_.timestep_spacing, sigmas),
               std::make_unique<HeunSolver>(prediction_type, stretches));
  }

  /// `stretches` leads to `low`: up again and down, along Karras' levels.
  void append_restarts(float low, float highest, double s_noise, std::vector<Stretch>& stretches) const {
    const auto high = std::min(static_cast<float>(config_.restart_sigma_max), highest);
    if (high <= low) return;  // too few steps: the nearest level lies above the interval
    const double noise = s_noise * std::sqrt(static_cast<double>(high) * high - static_cast<double>(low) * low);
    auto levels = with_last(karras_sigmas(low, high, config_.restart_steps + 1, config_.rho));
    levels.pop_back();
    levels.front() = high;
    levels.back() = low;
    for (int64_t k = 0; k < config_.restart_count; ++k) {
      stretches.back().noise = static_cast<float>(noise);
      for (size_t i = 0; i + 1 < levels.size(); ++i) stretches.push_back({levels[i], levels[i + 1], {}});
    }
  }
};

}  // namespace

std::shared_ptr<const Scheduler> make_restart(const Json& json) {
  return std::make_shared<RestartScheduler>(with_karras_default(read_config<RestartConfig>(kRestartName, json), json),
                                            json);
}

}  // namespace unnoise
