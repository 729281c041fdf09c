// Euler ancestral, the "Euler a" of k-diffusion: Euler's step down past the next level and fresh noise up to it, which
// for small steps is DDPM (Ho et al. 2020) in sigma.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>

#include "unnoise/schedulers/sigma_solver.h"

namespace unnoise {
namespace {

constexpr auto kEulerAncestralName = "EulerAncestralDiscreteScheduler";

struct EulerAncestralConfig : SigmaConfig {
  static constexpr auto fields() {
    return std::tuple_cat(NoiseOptions::fields(), SigmaConfig::prediction_field(), GridOptions::fields());
  }
};

class EulerAncestralSolver final : public SigmaSolver {
 public:
  EulerAncestralSolver(PredictionType prediction_type, const std::vector<float>& sigmas)
      : SigmaSolver(prediction_type, sigmas) {
    for (size_t i = 0; i + 1 < sigmas.size(); ++i) steps_.push_back(ancestral_step(sigmas[i], sigmas[i + 1]));
  }

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const auto [down, up] = steps_[static_cast<size_t>(step.index)];
    const Tensor x0 = this->x0(x, model_output, step);
    // the last step's noise is drawn, too, as in diffusers, for those who draw on after it
    return {at::add(toward(x, x0, level(step), down), rng.normal_like(x), up), x0};
  }

 private:
  std::vector<AncestralStep> steps_;
};

class EulerAncestralScheduler final : public SigmaScheduler<EulerAncestralConfig> {
 public:
  EulerAncestralScheduler(const EulerAncestralConfig& config, const Json& json)
      : SigmaScheduler(kEulerAncestralName, config, json) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const auto grid = sigma_grid(config_, table_, rounded_to_float(sigma_timesteps(config_, options)));
    const auto sigmas = with_last(grid.sigmas);
    return Run(timestep_tensors(std::vector<float>(grid.timesteps.begin(), grid.timesteps.end())), options.begin,
               init_noise_sigma(config_.timestep_spacing, sigmas),
               std::make_unique<EulerAncestralSolver>(prediction_type, sigmas));
  }
};

}  // namespace

std::shared_ptr<const Scheduler> make_euler_ancestral(const Json& json) {
  return std::make_shared<EulerAncestralScheduler>(read_config<EulerAncestralConfig>(kEulerAncestralName, json), json);
}

}  // namespace unnoise
