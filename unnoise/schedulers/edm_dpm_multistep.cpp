// DPM-Solver++ (Lu et al. 2022) on EDM's scale of noise (Karras et al. 2022): alpha = 1, lambda = -log sigma.
#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/dpm_updates.h"
#include "unnoise/schedulers/edm.h"

namespace unnoise {
namespace {

constexpr auto kEdmDpmMultistepName = "EDMDPMSolverMultistepScheduler";

struct EdmDpmConfig : EdmConfig, ThresholdOptions {
  int64_t solver_order = 2;
  DpmAlgorithm algorithm_type = DpmAlgorithm::dpmsolver_pp;
  DpmSolverType solver_type = DpmSolverType::midpoint;
  bool lower_order_final = true;
  bool euler_at_final = false;

  static constexpr auto fields() {
    using C = EdmDpmConfig;
    return std::tuple_cat(
        EdmConfig::fields(), std::tuple{field("solver_order", &C::solver_order, "order of the method, 1 to 3")},
        ThresholdOptions::fields(),
        std::tuple{field("algorithm_type", &C::algorithm_type, "dpmsolver++, or sde-dpmsolver++ with fresh noise"),
                   field("solver_type", &C::solver_type, "weights of order 2: midpoint or heun"),
                   field("lower_order_final", &C::lower_order_final,
                         "lower the order in the last steps (with fewer than 15 steps): more stable"),
                   field("euler_at_final", &C::euler_at_final, "order 1 in the last step, with any number of steps")});
  }
};

class EdmDpmScheduler final : public Scheduler {
 public:
  EdmDpmScheduler(const EdmDpmConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, config.prediction_type, kEdmDpmMultistepName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const auto sigmas = edm_sigmas(config_, options.steps, false);
    const bool to_zero = config_.final_sigmas_type == FinalSigmas::zero;
    auto grid = edm_grid(sigmas, to_zero ? 0 : static_cast<float>(config_.sigma_min));
    const DpmOrders orders{config_.solver_order, config_.lower_order_final, config_.euler_at_final};
    auto plan = plan_multistep(config_.algorithm_type, config_.solver_type, orders, grid.levels, options.begin);
    return Run(edm_timesteps(sigmas), options.begin, edm_init_noise_sigma(config_),
               std::make_unique<EdmMultistepSolver>(config_, config_, std::move(grid), std::move(plan),
                                                    is_stochastic(config_.algorithm_type)));
  }

  const EdmDpmConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_edm_dpm_multistep(const Json& json) {
  const auto config = read_config<EdmDpmConfig>(kEdmDpmMultistepName, json);
  check_config(kEdmDpmMultistepName, config);
  check_order(kEdmDpmMultistepName, "solver_order", config.solver_order, 3);
  check_limits({}, config);
  if (!predicts_x0(config.algorithm_type))
    throw usage_error(fmt::format("{}: algorithm_type: expected \"dpmsolver++\" or \"sde-dpmsolver++\", found \"{}\"",
                                  kEdmDpmMultistepName, enum_name(config.algorithm_type)));
  return std::make_shared<EdmDpmScheduler>(config,
                                           settled_config(json, to_json(config), {"algorithm_type", "solver_type"}));
}

}  // namespace unnoise
