// DPM-Solver++(2M) and its relatives: Lu et al. 2022, "DPM-Solver" and "DPM-Solver++: Fast Solver for Guided Sampling
// of Diffusion Probabilistic Models", multistep of order 1 to 3, over x0 or eps, as ODE or SDE.
#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/dpm_updates.h"

namespace unnoise {
namespace {

constexpr auto kDpmMultistepName = "DPMSolverMultistepScheduler";
constexpr DpmGridRules kDpmMultistepRules{.rounds_cosine = false, .ends_at_table = true};

struct DpmMultistepConfig : DpmConfig {
  DpmAlgorithm algorithm_type = DpmAlgorithm::dpmsolver_pp;
  DpmSolverType solver_type = DpmSolverType::midpoint;

  static constexpr auto fields() {
    using C = DpmMultistepConfig;
    return std::tuple_cat(
        beta_fields(), order_field(), prediction_fields(),
        std::tuple{field("algorithm_type", &C::algorithm_type, "++ integrates x0, else eps; sde adds fresh noise"),
                   field("solver_type", &C::solver_type, "weights of order 2: midpoint or heun")},
        final_order_field(), euler_field(), grid_fields(), lu_field(), final_sigmas_field(), clip_fields(),
        spacing_fields(), zero_snr_field(), shifting_fields());
  }
};

class DpmMultistepScheduler final : public Scheduler {
 public:
  DpmMultistepScheduler(const DpmMultistepConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kDpmMultistepName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override {
    if (config_.use_dynamic_shifting) return {"timesteps", "mu"};
    return {"timesteps"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    const auto algorithm = config_.algorithm_type;
    auto grid = dpm_grid(kDpmMultistepName, config_, noise(), options, kDpmMultistepRules);
    auto tensors = timestep_tensors(grid.timesteps);
    const DpmOrders orders{config_.solver_order, config_.lower_order_final, config_.euler_at_final};
    auto plan = plan_multistep(algorithm, config_.solver_type, orders, grid.levels, options.begin);
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DpmMultistepSolver>(config_.prediction_type, config_,
                                                    predicts_x0(algorithm) ? Integrand::x0 : Integrand::eps,
                                                    std::move(grid), std::move(plan), is_stochastic(algorithm)));
  }

  const DpmMultistepConfig config_;
};

void check(const DpmMultistepConfig& config) {
  check_config(kDpmMultistepName, config, kDpmMultistepRules);
  if (predicts_x0(config.algorithm_type)) return;
  check_prediction_type(kDpmMultistepName, config.prediction_type,
                        {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction});
  if (config.final_sigmas_type == FinalSigmas::zero)
    throw usage_error(fmt::format("{}: algorithm_type \"{}\" cannot step to final_sigmas_type \"zero\"",
                                  kDpmMultistepName, enum_name(config.algorithm_type)),
                      "Set final_sigmas_type to \"sigma_min\", or take \"dpmsolver++\".");
  if (config.algorithm_type == DpmAlgorithm::sde_dpmsolver && config.solver_order > 2)
    throw usage_error(fmt::format("{}: solver_order: \"sde-dpmsolver\" has order 1 and 2", kDpmMultistepName));
}

}  // namespace

std::shared_ptr<const Scheduler> make_dpm_multistep(const Json& json) {
  const auto config = read_config<DpmMultistepConfig>(kDpmMultistepName, json);
  check(config);
  return std::make_shared<DpmMultistepScheduler>(
      config, settled_config(json, to_json(config), {"algorithm_type", "solver_type"}));
}

}  // namespace unnoise
