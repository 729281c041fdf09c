// TCD: Zheng et al. 2024, "Trajectory Consistency Distillation". The network jumps along the trajectory to a level s
// below the next one, and noise leads back up to it; eta (the paper's gamma) says how far below. Names below: abar =
// alphas_cumprod, next = the grid's next timestep.
#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/distilled.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/weighted_sum.h"

namespace unnoise {
namespace {

constexpr auto kTcdName = "TCDScheduler";
constexpr double kUsualEta = 0.3;

/// diffusers' class has the keys of clipping and thresholding, and makes no use of them.
DistilledConfig unlimited(DistilledConfig config) {
  config.clip_sample = config.thresholding = false;
  return config;
}

class TcdSolver final : public DiscreteSolver {
 public:
  TcdSolver(const DistilledConfig& config, NoiseSchedule noise, std::vector<int64_t> timesteps, double eta)
      : DiscreteSolver(config, std::move(noise), std::move(timesteps)), eta_(eta) {}

  /// Algorithm 4, strategic stochastic sampling
  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const Tensor prediction = split_output(x, model_output).prediction;
    const int64_t next = next_t(step);
    const bool is_last = next < 0;
    const int64_t s = is_last ? 0 : static_cast<int64_t>(static_cast<float>(next) * static_cast<float>(1 - eta_));

    const Tensor x0 = raw_x0(x, prediction, step);
    const Tensor eps = eps_from(config_.prediction_type, x, prediction, noise_.level(t(step)));
    const NoiseLevel level = noise_.level(s);
    const Tensor xs = weighted_sum(level.alpha, x0, level.sigma, eps);
    if (is_last || eta_ == 0) return {xs, x0};
    const float ratio = noise_.alpha_bar(next) / noise_.alpha_bar(s);
    return {weighted_sum(torch_sqrt(ratio), xs, torch_sqrt(1 - ratio), rng.normal_like(x)), x0};
  }

 private:
  const double eta_;
};

class TcdScheduler final : public Scheduler {
 public:
  TcdScheduler(const DistilledConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kTcdName, json, to_json(config)),
        config_(unlimited(config)) {}

  std::vector<std::string_view> run_options() const override {
    return {"eta", "timesteps", "original_inference_steps", "strength"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    const double eta = options.eta.value_or(kUsualEta);
    if (!(eta >= 0 && eta <= 1))
      throw usage_error(fmt::format("eta: expected 0 to 1, found {}", eta),
                        "0 is deterministic, 1 goes to the clean picture and back.");
    auto timesteps = distilled_timesteps(config_, options, TeacherGrid::every_timestep);
    refuse_pure_noise(config_, noise(), timesteps, options.begin);
    auto tensors = timestep_tensors(timesteps);
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<TcdSolver>(config_, noise(), std::move(timesteps), eta));
  }

  const DistilledConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_tcd(const Json& json) {
  const auto config = read_config<DistilledConfig>(kTcdName, json);
  check_distilled(kTcdName, config);
  return std::make_shared<TcdScheduler>(config, json);
}

}  // namespace unnoise
