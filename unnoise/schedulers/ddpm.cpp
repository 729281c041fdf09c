// DDPM: ancestral sampling, Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic Models", algorithm 2, over any
// falling list of timesteps (Nichol & Dhariwal 2021, section 4). Names below: abar = alphas_cumprod, prev = the next
// timestep of the list.
#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/discrete.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/weighted_sum.h"

namespace unnoise {
namespace {

constexpr auto kDdpmName = "DDPMScheduler";

/// The variance of x_{t-1} given x_t.
enum class VarianceType {
  fixed_small,      ///< beta tilde, the posterior's: eq. 7
  fixed_small_log,  ///< the same, through its logarithm
  fixed_large,      ///< beta_t: section 3.2
  fixed_large_log,  ///< the same, through its logarithm
  learned,          ///< the second half of the network's output is the variance
  learned_range,    ///< it says where log variance lies between the two: Nichol & Dhariwal 2021, eq. 15
};

constexpr auto enum_names(VarianceType) {
  using enum VarianceType;
  return std::array{std::pair{fixed_small, "fixed_small"}, std::pair{fixed_small_log, "fixed_small_log"},
                    std::pair{fixed_large, "fixed_large"}, std::pair{fixed_large_log, "fixed_large_log"},
                    std::pair{learned, "learned"},         std::pair{learned_range, "learned_range"}};
}

struct DdpmConfig : DiscreteConfig {
  VarianceType variance_type = VarianceType::fixed_small;

  static constexpr auto fields() {
    return std::tuple_cat(DiscreteConfig::fields(), std::tuple{field("variance_type", &DdpmConfig::variance_type,
                                                                     "the variance of the noise that each step adds")});
  }
};

constexpr float kSmallestVariance = 1e-20f;  // its logarithm must be finite

class DdpmSolver final : public DiscreteSolver {
 public:
  DdpmSolver(const DdpmConfig& config, NoiseSchedule noise, std::vector<int64_t> timesteps)
      : DiscreteSolver(config, std::move(noise), std::move(timesteps)), variance_type_(config.variance_type) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const auto [prediction, learned] = split_output(x, model_output);
    const int64_t t = this->t(step), prev = next_t(step);
    const float abar_t = noise_.alpha_bar(t);
    const float abar_prev = prev >= 0 ? noise_.alpha_bar(prev) : 1.0f;
    const float alpha_t = abar_t / abar_prev, beta_t = 1 - alpha_t;

    const Tensor x0 = limited(raw_x0(x, prediction, step));

    // The posterior q(x_prev | x_t, x0): mean and variance, eq. 7
    const float x0_weight = torch_sqrt(abar_prev) * beta_t / (1 - abar_t);
    const float xt_weight = torch_sqrt(alpha_t) * (1 - abar_prev) / (1 - abar_t);
    const Tensor mean = weighted_sum(x0_weight, x0, xt_weight, x);
    if (t == 0) return {mean, x0};  // the last step of algorithm 2 adds no noise, and draws none

    const float beta_tilde = std::max((1 - abar_prev) / (1 - abar_t) * beta_t, kSmallestVariance);
    const Tensor z = rng.normal_like(x);
    if (const auto deviation = fixed_deviation(beta_t, beta_tilde)) return {weighted_sum(1, mean, *deviation, z), x0};
    return {mean + learned_deviation(beta_t, beta_tilde, learned) * z, x0};
  }

 private:
  /// The standard deviation of the step's noise where the network has no say in it.
  std::optional<float> fixed_deviation(float beta_t, float beta_tilde) const {
    switch (variance_type_) {
      case VarianceType::fixed_small:
        return torch_sqrt(beta_tilde);
      case VarianceType::fixed_small_log:
        return torch_exp(0.5f * torch_log(beta_tilde));
      case VarianceType::fixed_large:
        return torch_sqrt(beta_t);
      case VarianceType::fixed_large_log:
        return torch_exp(0.5f * torch_log(beta_t));
      default:
        return std::nullopt;
    }
  }

  /// And where it has: [B,C,H,W].
  Tensor learned_deviation(float beta_t, float beta_tilde, const Tensor& learned) const {
    if (variance_type_ == VarianceType::learned) return checked(learned).clamp_min(kSmallestVariance).sqrt();
    const Tensor fraction = (checked(learned) + 1) / 2;
    return at::exp(0.5 * (fraction * torch_log(beta_t) + (1 - fraction) * torch_log(beta_tilde)));
  }

  const Tensor& checked(const Tensor& learned) const {
    if (!learned.defined())
      throw usage_error(
          fmt::format("{}: variance_type: \"{}\" needs a network with twice as many output channels as input "
                      "channels; this one has as many",
                      kDdpmName, enum_name(variance_type_)),
          "Set variance_type to \"fixed_small\".");
    return learned;
  }

  const VarianceType variance_type_;
};

class DdpmScheduler final : public Scheduler {
 public:
  DdpmScheduler(const DdpmConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kDdpmName, json, to_json(config)), config_(config) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    auto timesteps = choose_timesteps(options, config_, num_train_timesteps());
    refuse_pure_noise(config_, noise(), timesteps, options.begin);
    auto tensors = timestep_tensors(timesteps);
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DdpmSolver>(config_, noise(), std::move(timesteps)));
  }

  const DdpmConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_ddpm(const Json& json) {
  const auto config = read_config<DdpmConfig>(kDdpmName, json);
  check_config(kDdpmName, config);
  return std::make_shared<DdpmScheduler>(config, json);
}

}  // namespace unnoise
