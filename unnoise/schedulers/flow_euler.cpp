// Flow matching with Euler's method: Esser et al. 2024, "Scaling Rectified Flow Transformers for High-Resolution Image
// Synthesis". What Stable Diffusion 3, FLUX and their kin are sampled with.
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>

#include "unnoise/schedulers/flow.h"

namespace unnoise {
namespace {

constexpr auto kFlowEulerName = "FlowMatchEulerDiscreteScheduler";

struct FlowEulerConfig : FlowConfig {
  bool stochastic_sampling = false;

  static constexpr auto fields() {
    return std::tuple_cat(FlowConfig::fields(),
                          std::tuple{field("stochastic_sampling", &FlowEulerConfig::stochastic_sampling,
                                           "each step goes to the clean picture and back with fresh noise")});
  }
};

class FlowEulerSolver final : public FlowSolver {
 public:
  FlowEulerSolver(const FlowEulerConfig& config, std::vector<float> sigmas)
      : FlowSolver(std::move(sigmas), config.invert_sigmas), stochastic_(config.stochastic_sampling) {}

  StepResult step(const Tensor& x, const Tensor& v, const Step& step, Rng& rng) override {
    const Tensor wide = widened(x);
    const Tensor x0 = this->x0(wide, v, step);
    const Tensor next = stochastic_ ? mixed(x0, rng.normal_like(wide), next_sigma(step))
                                    : at::add(wide, v, next_sigma(step) - sigma(step));  // dx = v ds
    return {next.to(v.scalar_type()), x0};
  }

 private:
  const bool stochastic_;
};

class FlowEulerScheduler final : public Scheduler {
 public:
  FlowEulerScheduler(const FlowEulerConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, PredictionType::flow_prediction, kFlowEulerName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {"timesteps", "sigmas", "mu"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    auto grid = flow_grid(kFlowEulerName, config_, options);
    return Run(timestep_tensors(grid.timesteps), options.begin, 1.0,
               std::make_unique<FlowEulerSolver>(config_, std::move(grid.sigmas)));
  }

  const FlowEulerConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_flow_euler(const Json& json) {
  const auto config = read_config<FlowEulerConfig>(kFlowEulerName, json);
  check_flow(kFlowEulerName, config);
  return std::make_shared<FlowEulerScheduler>(config, json);
}

}  // namespace unnoise
