// DDPM in continuous time with the cosine schedule: Pernias et al. 2023, "Würstchen"; ancestral sampling as in Ho et
// al. 2020, algorithm 2, from t = 1 to 0. Names below: abar(t) = alphas_cumprod, prev = the next time of the grid.
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <numbers>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/discrete.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/sigma_grids.h"

namespace unnoise {
namespace {

constexpr auto kWuerstchenName = "DDPMWuerstchenScheduler";

struct WuerstchenConfig {
  double scaler = 1;
  double s = 0.008;

  static constexpr auto fields() {
    using C = WuerstchenConfig;
    return std::tuple{field("scaler", &C::scaler, "bends time: above 1 more noise, below 1 less; above 0"),
                      field("s", &C::s, "offset of the cosine schedule, 0 or more")};
  }
};

/// Nichol & Dhariwal 2021, eq. 17. In LibTorch's float32, as diffusers: with many steps alpha is nearly 1, and what is
/// left of it in 1 - alpha are the last bits.
class CosineSchedule {
 public:
  explicit CosineSchedule(const WuerstchenConfig& config)
      : scaler_(config.scaler),
        s_(at::full({1}, config.s, at::kFloat)),
        first_(cos_squared(at::zeros({1}, at::kFloat))) {}

  float alpha_bar(float time) const {
    Tensor t = at::full({1}, time, at::kFloat);
    if (scaler_ > 1) t = 1 - (1 - t).pow(scaler_);
    if (scaler_ < 1) t = t.pow(scaler_);
    return (cos_squared(t) / first_).clamp(0.0001, 0.9999).item<float>();
  }

 private:
  Tensor cos_squared(const Tensor& t) const { return ((t + s_) / (1 + s_) * std::numbers::pi * 0.5).cos().square(); }

  const double scaler_;
  const Tensor s_, first_;
};

class WuerstchenSolver final : public Solver {
 public:
  /// `times`: where each step begins, and the end.
  WuerstchenSolver(const CosineSchedule& schedule, std::vector<float> times) : times_(std::move(times)) {
    for (const float t : times_) abar_.push_back(schedule.alpha_bar(t));
  }

  StepResult step(const Tensor& x, const Tensor& eps, const Step& step, Rng& rng) override {
    const auto i = static_cast<size_t>(step.index);
    const float abar = abar_[i], abar_prev = abar_[i + 1];
    const float alpha = abar / abar_prev;
    // Ho et al. 2020, eq. 11
    Tensor next = torch_sqrt(1 / alpha) * (x - ((1 - alpha) / torch_sqrt(1 - abar)) * eps);
    const Tensor z = rng.normal_like(x);
    // beta tilde, eq. 7; the last step adds none
    const float variance = std::max((1 - alpha) * (1 - abar_prev) / (1 - abar), 0.0f);
    if (times_[i + 1] != 0) next.add_(z, torch_sqrt(variance));
    return {next, x0(x, eps, step)};
  }
  Tensor x0(const Tensor& x, const Tensor& eps, const Step& step) const override {
    return x0_from(PredictionType::epsilon, x, eps, level(step));
  }
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override {
    return (level(step).alpha * x0).add_(noise, level(step).sigma);
  }

 private:
  NoiseLevel level(const Step& step) const { return level_of(abar_[static_cast<size_t>(step.index)]); }

  const std::vector<float> times_;
  std::vector<float> abar_;
};

class WuerstchenScheduler final : public Scheduler {
 public:
  WuerstchenScheduler(const WuerstchenConfig& config, const Json& json)
      : Scheduler(kUsualTimesteps, PredictionType::epsilon, kWuerstchenName, json, to_json(config)),
        schedule_(config) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps"}; }

 private:
  static constexpr int64_t kUsualTimesteps = 1000;  // time is continuous, the class has no such key

  Run make_run(const StartOptions& options) const override {
    if (options.steps < 1 || options.steps > 1'000'000)
      throw usage_error(fmt::format("number of sampling steps: expected 1 to 1000000, found {}", options.steps));
    const auto times = options.timesteps ? checked(*options.timesteps) : linspace(1, 0, options.steps + 1);
    std::vector<float> narrow(times.begin(), times.end());
    const std::vector<float> told(narrow.begin(), narrow.end() - 1);
    return Run(timestep_tensors(told), options.begin, 1.0,
               std::make_unique<WuerstchenSolver>(schedule_, std::move(narrow)));
  }

  static std::vector<double> checked(const std::vector<double>& times) {
    if (times.size() < 2)
      throw usage_error("custom timesteps: expected where each step begins, and the end; at least 2 numbers");
    for (size_t i = 0; i < times.size(); ++i)
      if (!(times[i] >= 0 && times[i] <= 1) || (i > 0 && times[i] >= times[i - 1]))
        throw usage_error(
            fmt::format("custom timesteps: expected a list that falls from at most 1 to 0, found {}", times[i]));
    return times;
  }

  const CosineSchedule schedule_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_wuerstchen(const Json& json) {
  const auto config = read_config<WuerstchenConfig>(kWuerstchenName, json);
  if (!(config.scaler > 0 && config.scaler <= 1000))
    throw usage_error(
        fmt::format("{}: scaler: expected above 0 and at most 1000, found {}", kWuerstchenName, config.scaler));
  if (!(config.s >= 0 && config.s <= 1000))
    throw usage_error(fmt::format("{}: s: expected 0 to 1000, found {}", kWuerstchenName, config.s));
  return std::make_shared<WuerstchenScheduler>(config, json);
}

}  // namespace unnoise
