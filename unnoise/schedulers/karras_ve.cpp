// Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", algorithm 2 with the
// settings of table 5 for variance-exploding networks (Song et al. 2021, NCSN++), as diffusers' KarrasVePipeline runs
// it. The network sees (x + 1) / 2 at sigma / 2 and answers with a score: x0 = x + sigma (sigma / 2) output (eq. 213).
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/heun.h"

namespace unnoise {
namespace {

constexpr auto kKarrasVeName = "KarrasVeScheduler";
constexpr int64_t kTrainTimesteps = 1000;  // the class has none; its networks are told sigma
constexpr int64_t kMostSteps = 1'000'000;

struct KarrasVeConfig {
  double sigma_min = 0.02;
  double sigma_max = 100;
  double s_noise = 1.007;
  double s_churn = 80;
  double s_min = 0.05;
  double s_max = 50;

  static constexpr auto fields() {
    using C = KarrasVeConfig;
    return std::tuple{
        field("sigma_min", &C::sigma_min, "the steps run from sigma_max^2 down to sigma_min^2, above 0"),
        field("sigma_max", &C::sigma_max, "standard deviation of the initial noise"),
        field("s_noise", &C::s_noise, "standard deviation of the fresh noise"),
        field("s_churn", &C::s_churn, "fresh noise over all steps, 0 = none"),
        field("s_min", &C::s_min, "fresh noise only from this level"),
        field("s_max", &C::s_max, "fresh noise only up to this level"),
    };
  }
};

void check_config(const KarrasVeConfig& c) {
  if (!(c.sigma_min > 0 && c.sigma_min < c.sigma_max && std::isfinite(c.sigma_max)))
    throw usage_error(fmt::format("{}: expected 0 < sigma_min < sigma_max, found {} and {}", kKarrasVeName, c.sigma_min,
                                  c.sigma_max));
  if (!(c.s_churn >= 0 && std::isfinite(c.s_churn) && std::isfinite(c.s_noise)) || std::isnan(c.s_min) ||
      std::isnan(c.s_max))
    throw usage_error(
        fmt::format("{}: expected s_churn from 0 and numbers for s_noise, s_min and s_max, found {}, {}, {} and {}",
                    kKarrasVeName, c.s_churn, c.s_noise, c.s_min, c.s_max));
}

class KarrasVeSolver final : public HeunSolver {
 public:
  using HeunSolver::HeunSolver;

  Tensor input(const Tensor& x, const Step&) const override { return (x + 1) / 2; }
  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override {
    const float sigma = level(step);
    return at::add(x, split_output(x, model_output).prediction, sigma * (sigma / 2));
  }
};

class KarrasVeScheduler final : public Scheduler {
 public:
  KarrasVeScheduler(const KarrasVeConfig& config, const Json& json)
      : Scheduler(kTrainTimesteps, PredictionType::epsilon, kKarrasVeName, json, to_json(config)), config_(config) {
    check_config(config);
  }

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const int64_t n = options.steps;
    if (n < 1 || n > kMostSteps)
      throw usage_error(fmt::format("number of sampling steps: expected 1 to {}, found {}", kMostSteps, n));
    // Table 5's schedule is that of sigma^2. diffusers takes it for sigma, and what it draws depends on that.
    const double high = config_.sigma_max * config_.sigma_max, low = config_.sigma_min * config_.sigma_min;
    std::vector<float> sigmas;
    for (int64_t i = 0; i < n; ++i) {
      const double part = n > 1 ? static_cast<double>(i) / static_cast<double>(n - 1) : 0;
      sigmas.push_back(static_cast<float>(high * std::pow(low / high, part)));
    }
    sigmas.push_back(0);

    std::vector<Stretch> stretches;
    std::vector<std::optional<float>> fresh;
    for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
      const double sigma = sigmas[i], sigma_hat = sigma * (1 + gamma(sigma, n));
      fresh.emplace_back(static_cast<float>(config_.s_noise * std::sqrt(sigma_hat * sigma_hat - sigma * sigma)));
      stretches.push_back({static_cast<float>(sigma_hat), sigmas[i + 1], {}});
    }
    for (size_t i = 0; i + 1 < stretches.size(); ++i) stretches[i].noise = fresh[i + 1];

    std::vector<float> timesteps;
    for (const float level : HeunSolver::levels(stretches)) timesteps.push_back(level / 2);
    const auto first_noise = options.begin == 0 ? fresh.front() : std::nullopt;
    return Run(timestep_tensors(timesteps), stretch_begin(options.begin), config_.sigma_max,
               std::make_unique<KarrasVeSolver>(prediction_type, stretches, first_noise));
  }

  double gamma(double sigma, int64_t steps) const {
    if (!(config_.s_min <= sigma && sigma <= config_.s_max)) return 0;
    return std::min(config_.s_churn / static_cast<double>(steps), std::sqrt(2.0) - 1);
  }

  const KarrasVeConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_karras_ve(const Json& json) {
  return std::make_shared<KarrasVeScheduler>(read_config<KarrasVeConfig>(kKarrasVeName, json), json);
}

}  // namespace unnoise
