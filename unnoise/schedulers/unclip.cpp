// unCLIP: Ramesh et al. 2022, "Hierarchical Text-Conditional Image Generation with CLIP Latents". DDPM's ancestral
// sampling (Ho et al. 2020, algorithm 2) over timesteps that always reach both ends. Names below: abar =
// alphas_cumprod, prev = the grid's next timestep.
#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/discrete.h"
#include "unnoise/schedulers/scalar_math.h"

namespace unnoise {
namespace {

constexpr auto kUnclipName = "UnCLIPScheduler";

enum class UnclipVariance {
  fixed_small_log,  ///< the posterior's, Ho et al. 2020, eq. 7
  learned_range,    ///< the network's second half says where between it and beta: Nichol & Dhariwal 2021, eq. 15
};

constexpr auto enum_names(UnclipVariance) {
  return std::array{std::pair{UnclipVariance::fixed_small_log, "fixed_small_log"},
                    std::pair{UnclipVariance::learned_range, "learned_range"}};
}

struct UnclipConfig : DiscreteConfig {
  UnclipVariance variance_type = UnclipVariance::fixed_small_log;

  UnclipConfig() { beta_schedule = BetaSchedule::squaredcos_cap_v2; }

  static constexpr auto fields() {
    using C = UnclipConfig;
    return std::tuple_cat(
        std::tuple{
            field("num_train_timesteps", &C::num_train_timesteps, "timesteps of the forward process, 1 to 1000000"),
            field("beta_schedule", &C::beta_schedule, "squaredcos_cap_v2"),
            field("variance_type", &C::variance_type, "the variance of the noise that each step adds")},
        prediction_field(), ClipOptions::fields());
  }
};

constexpr float kSmallestVariance = 1e-20f;  // its logarithm must be finite

class UnclipSolver final : public DiscreteSolver {
 public:
  UnclipSolver(const UnclipConfig& config, NoiseSchedule noise, std::vector<int64_t> timesteps)
      : DiscreteSolver(config, std::move(noise), std::move(timesteps)), variance_type_(config.variance_type) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const auto [prediction, learned] = split_output(x, model_output);
    const int64_t t = this->t(step), prev = next_t(step);
    const float abar_t = noise_.alpha_bar(t), abar_prev = prev >= 0 ? noise_.alpha_bar(prev) : 1.0f;
    const bool neighbours = prev == t - 1;  // then the table's own beta, which is more exact
    const float beta = neighbours ? noise_.betas().const_data_ptr<float>()[t] : 1 - abar_t / abar_prev;
    const float alpha = 1 - beta;

    const Tensor x0 = limited(raw_x0(x, prediction, step));
    // eq. 7
    const float x0_weight = torch_sqrt(abar_prev) * beta / (1 - abar_t);
    const float xt_weight = torch_sqrt(alpha) * (1 - abar_prev) / (1 - abar_t);
    Tensor next = (x0_weight * x0).add_(x, xt_weight);
    if (t == 0) return {next, x0};
    const Tensor z = rng.normal_like(x);
    const float log_small = torch_log(std::max((1 - abar_prev) / (1 - abar_t) * beta, kSmallestVariance));
    if (variance_type_ == UnclipVariance::fixed_small_log) return {next.add_(z, torch_exp(0.5f * log_small)), x0};
    if (!learned.defined())
      throw usage_error(
          fmt::format(
              "{}: variance_type: \"learned_range\" needs a network with twice as many output channels as input "
              "channels; this one has as many",
              kUnclipName),
          "Set variance_type to \"fixed_small_log\".");
    const float log_large = torch_log(beta);
    const Tensor log_variance = (learned + 1) * ((log_large - log_small) / 2) + log_small;
    return {next.add_(at::exp(0.5 * log_variance) * z), x0};
  }

 private:
  const UnclipVariance variance_type_;
};

class UnclipScheduler final : public Scheduler {
 public:
  UnclipScheduler(const UnclipConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kUnclipName, json, to_json(config)), config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const GridOptions both_ends{.timestep_spacing = TimestepSpacing::linspace};
    auto timesteps = spaced_timesteps(both_ends, options.steps, num_train_timesteps());
    if (options.steps == 1) timesteps = {num_train_timesteps() - 1};  // of the two ends, the one with noise
    auto tensors = timestep_tensors(timesteps);
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<UnclipSolver>(config_, noise(), std::move(timesteps)));
  }

  const UnclipConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_unclip(const Json& json) {
  const auto config = read_config<UnclipConfig>(kUnclipName, json);
  check_config(kUnclipName, config);
  check_prediction_type(kUnclipName, config.prediction_type, {PredictionType::epsilon, PredictionType::sample});
  if (config.beta_schedule != BetaSchedule::squaredcos_cap_v2)
    throw usage_error(fmt::format("{}: beta_schedule: expected \"squaredcos_cap_v2\", found \"{}\"", kUnclipName,
                                  enum_name(config.beta_schedule)));
  return std::make_shared<UnclipScheduler>(config, json);
}

}  // namespace unnoise
