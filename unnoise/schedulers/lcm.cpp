// LCM: Luo et al. 2023, "Latent Consistency Models". The network jumps to the clean picture; each step but the last
// adds noise again (Song et al. 2023, "Consistency Models", algorithm 1). Names below: abar = alphas_cumprod.
#include <ATen/TensorOperators.h>

#include "unnoise/schedulers/distilled.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/weighted_sum.h"

namespace unnoise {
namespace {

constexpr auto kLcmName = "LCMScheduler";
constexpr float kSigmaData = 0.5f;

class LcmSolver final : public DiscreteSolver {
 public:
  LcmSolver(const DistilledConfig& config, NoiseSchedule noise, std::vector<int64_t> timesteps)
      : DiscreteSolver(config, std::move(noise), std::move(timesteps)),
        scaling_(static_cast<float>(config.timestep_scaling)) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const Tensor denoised = x0(x, model_output, step);
    const int64_t next = next_t(step);
    if (next < 0) return {denoised, denoised};
    const NoiseLevel level = noise_.level(next);
    return {weighted_sum(level.alpha, denoised, level.sigma, rng.normal_like(x)), denoised};
  }

  /// f(x, t) = c_skip x + c_out x0: eq. 9 and appendix E; the identity at t = 0.
  Tensor x0(const Tensor& x, const Tensor& model_output, const Step& step) const override {
    const Tensor x0 = limited(raw_x0(x, split_output(x, model_output).prediction, step));
    const float scaled = static_cast<float>(t(step)) * scaling_;
    const float sum = scaled * scaled + kSigmaData * kSigmaData;
    const float c_skip = kSigmaData * kSigmaData / sum, c_out = scaled / torch_sqrt(sum);
    return weighted_sum(c_out, x0, c_skip, x);
  }

 private:
  const float scaling_;
};

class LcmScheduler final : public Scheduler {
 public:
  LcmScheduler(const DistilledConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kLcmName, json, to_json(config)), config_(config) {}

  std::vector<std::string_view> run_options() const override {
    return {"timesteps", "original_inference_steps", "strength"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    auto timesteps = distilled_timesteps(config_, options, TeacherGrid::spaced);
    refuse_pure_noise(config_, noise(), timesteps, options.begin);
    auto tensors = timestep_tensors(timesteps);
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<LcmSolver>(config_, noise(), std::move(timesteps)));
  }

  const DistilledConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_lcm(const Json& json) {
  const auto config = read_config<DistilledConfig>(kLcmName, json);
  check_distilled(kLcmName, config);
  return std::make_shared<LcmScheduler>(config, json);
}

}  // namespace unnoise
