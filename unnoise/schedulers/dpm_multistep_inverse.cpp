// DPM-Solver++ (Lu et al. 2022) from the picture to its noise, for editing what a model could have drawn: the steps of
// dpm_multistep along rising noise.
#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/dpm_updates.h"

namespace unnoise {
namespace {

constexpr auto kDpmMultistepInverseName = "DPMSolverMultistepInverseScheduler";
constexpr DpmGridRules kDpmMultistepInverseRules{.inverse = true};

struct DpmInverseConfig : DpmConfig {
  DpmAlgorithm algorithm_type = DpmAlgorithm::dpmsolver_pp;
  DpmSolverType solver_type = DpmSolverType::midpoint;

  static constexpr auto fields() {
    using C = DpmInverseConfig;
    return std::tuple_cat(
        beta_fields(), order_field(), prediction_fields(),
        std::tuple{field("algorithm_type", &C::algorithm_type, "++ integrates x0, else eps; sde adds fresh noise"),
                   field("solver_type", &C::solver_type, "weights of order 2: midpoint or heun")},
        final_order_field(), euler_field(), grid_fields(), clip_fields(), spacing_fields());
  }
};

class DpmInverseScheduler final : public Scheduler {
 public:
  DpmInverseScheduler(const DpmInverseConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kDpmMultistepInverseName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const auto algorithm = config_.algorithm_type;
    auto grid = dpm_grid(kDpmMultistepInverseName, config_, noise(), options, kDpmMultistepInverseRules);
    auto tensors = timestep_tensors(grid.timesteps);
    const DpmOrders orders{config_.solver_order, config_.lower_order_final, config_.euler_at_final};
    auto plan = plan_multistep(algorithm, config_.solver_type, orders, grid.levels, options.begin);
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DpmMultistepSolver>(config_.prediction_type, config_,
                                                    predicts_x0(algorithm) ? Integrand::x0 : Integrand::eps,
                                                    std::move(grid), std::move(plan), is_stochastic(algorithm)));
  }

  const DpmInverseConfig config_;
};

void check(const DpmInverseConfig& config) {
  check_config(kDpmMultistepInverseName, config, kDpmMultistepInverseRules);
  if (predicts_x0(config.algorithm_type)) return;
  check_prediction_type(kDpmMultistepInverseName, config.prediction_type,
                        {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction});
  if (config.algorithm_type == DpmAlgorithm::sde_dpmsolver && config.solver_order > 2)
    throw usage_error(fmt::format("{}: solver_order: \"sde-dpmsolver\" has order 1 and 2", kDpmMultistepInverseName));
}

}  // namespace

std::shared_ptr<const Scheduler> make_dpm_multistep_inverse(const Json& json) {
  const auto config = read_config<DpmInverseConfig>(kDpmMultistepInverseName, json);
  check(config);
  return std::make_shared<DpmInverseScheduler>(
      config, settled_config(json, to_json(config), {"algorithm_type", "solver_type"}));
}

}  // namespace unnoise
