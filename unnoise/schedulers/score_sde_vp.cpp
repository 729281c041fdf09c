// The variance preserving SDE by Euler and Maruyama's method: Song et al. 2021, "Score-Based Generative Modeling
// through Stochastic Differential Equations", eq. 11 and appendix G. diffusers calls the class deprecated; old models
// name it.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/linspace.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {
namespace {

constexpr auto kScoreSdeVpName = "ScoreSdeVpScheduler";

struct SdeVpConfig {
  int64_t num_train_timesteps = 2000;
  double beta_min = 0.1;
  double beta_max = 20;
  double sampling_eps = 1e-3;

  static constexpr auto fields() {
    using C = SdeVpConfig;
    return std::tuple{
        field("num_train_timesteps", &C::num_train_timesteps, "timesteps that the network was trained on"),
        field("beta_min", &C::beta_min, "beta at time 0, above 0"), field("beta_max", &C::beta_max, "beta at time 1"),
        field("sampling_eps", &C::sampling_eps, "time of the last step, above 0 and below 1")};
  }
};

class SdeVpSolver final : public Solver {
 public:
  SdeVpSolver(const SdeVpConfig& config, std::vector<float> times) : config_(config), times_(std::move(times)) {}

  /// The network's output is eps, up to its sign: score = -eps / sigma.
  StepResult step(const Tensor& x, const Tensor& eps, const Step& step, Rng& rng) override {
    const double t = time(step), dt = 1 / static_cast<double>(times_.size());
    const double beta = config_.beta_min + t * (config_.beta_max - config_.beta_min);
    // dx = -(beta / 2 x + beta score) dt + sqrt(beta) dw
    const Tensor mean = at::add((1 + 0.5 * beta * dt) * x, eps, -beta * dt / level(step).sigma);
    const Tensor z = rng.normal_like(x);
    const bool is_last = static_cast<size_t>(step.index) + 1 == times_.size();
    return {is_last ? mean : at::add(mean, z, std::sqrt(beta * dt)), x0(x, eps, step)};
  }

  Tensor x0(const Tensor& x, const Tensor& eps, const Step& step) const override {
    return x0_from(PredictionType::epsilon, x, eps, level(step));
  }
  Tensor noised(const Tensor& x0, const Tensor& noise, const Step& step) const override {
    const NoiseLevel at = level(step);
    return (at.alpha * x0).add_(noise, at.sigma);
  }

 private:
  double time(const Step& step) const { return times_[static_cast<size_t>(step.index)]; }
  /// Eq. 33
  NoiseLevel level(const Step& step) const {
    const double t = time(step);
    const double log_alpha = -0.25 * t * t * (config_.beta_max - config_.beta_min) - 0.5 * t * config_.beta_min;
    return {static_cast<float>(std::exp(log_alpha)), static_cast<float>(std::sqrt(-std::expm1(2 * log_alpha)))};
  }

  const SdeVpConfig config_;
  const std::vector<float> times_;
};

class SdeVpScheduler final : public Scheduler {
 public:
  SdeVpScheduler(const SdeVpConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, PredictionType::epsilon, kScoreSdeVpName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    if (options.steps < 1 || options.steps > 1'000'000)
      throw usage_error(fmt::format("number of sampling steps: expected 1 to 1000000, found {}", options.steps));
    const Tensor spaced = at::linspace(1, config_.sampling_eps, options.steps, at::kFloat);
    std::vector<float> times(spaced.const_data_ptr<float>(), spaced.const_data_ptr<float>() + spaced.numel());
    auto tensors = timestep_tensors(times);
    return Run(std::move(tensors), options.begin, 1.0, std::make_unique<SdeVpSolver>(config_, std::move(times)));
  }

  const SdeVpConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_score_sde_vp(const Json& json) {
  const auto config = read_config<SdeVpConfig>(kScoreSdeVpName, json);
  if (config.num_train_timesteps < 1)
    throw usage_error(fmt::format("{}: num_train_timesteps: expected at least 1, found {}", kScoreSdeVpName,
                                  config.num_train_timesteps));
  if (!(config.beta_min > 0 && config.beta_max >= config.beta_min && config.beta_max <= 1000))
    throw usage_error(fmt::format("{}: beta_min, beta_max: expected 0 < beta_min <= beta_max <= 1000, found {} and {}",
                                  kScoreSdeVpName, config.beta_min, config.beta_max));
  if (!(config.sampling_eps > 0 && config.sampling_eps < 1))
    throw usage_error(
        fmt::format("{}: sampling_eps: expected above 0 and below 1, found {}", kScoreSdeVpName, config.sampling_eps));
  return std::make_shared<SdeVpScheduler>(config, json);
}

}  // namespace unnoise
