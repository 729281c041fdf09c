// The sampler of Stable Audio: SDE-DPM-Solver++ (Lu et al. 2022) on EDM's scale of noise, with noise from a Brownian
// path; the network is told the angle atan(sigma), as cosine schedules have it.
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <limits>
#include <numbers>

#include "unnoise/schedulers/brownian_tree.h"
#include "unnoise/schedulers/dpm_updates.h"
#include "unnoise/schedulers/edm.h"

namespace unnoise {
namespace {

constexpr auto kCosineDpmMultistepName = "CosineDPMSolverMultistepScheduler";

struct CosineConfig : EdmConfig {
  int64_t solver_order = 2;
  DpmSolverType solver_type = DpmSolverType::midpoint;
  bool lower_order_final = true;
  bool euler_at_final = false;

  CosineConfig() {
    sigma_min = 0.3;
    sigma_max = 500;
    sigma_data = 1;
    sigma_schedule = EdmSchedule::exponential;
    prediction_type = PredictionType::v_prediction;
  }

  static constexpr auto fields() {
    using C = CosineConfig;
    return std::tuple_cat(
        EdmConfig::fields(),
        std::tuple{field("solver_order", &C::solver_order, "order of the method, 1 or 2"),
                   field("solver_type", &C::solver_type, "weights of order 2: midpoint or heun"),
                   field("lower_order_final", &C::lower_order_final,
                         "lower the order in the last steps (with fewer than 15 steps): more stable"),
                   field("euler_at_final", &C::euler_at_final, "order 1 in the last step, with any number of steps")});
  }
};

class CosineSolver final : public EdmMultistepSolver {
 public:
  using EdmMultistepSolver::EdmMultistepSolver;

 private:
  /// The path is seeded with the run's own seed, as in diffusers, and draws nothing from its stream.
  Tensor noise(const Tensor& x, const Step& step, Rng& rng) override {
    const auto i = static_cast<size_t>(step.index);
    const float from = grid_.sigmas[i], to = grid_.sigmas[i + 1];
    if (to == 0 || to == from) return {};
    if (!path_) {
      std::optional<int64_t> seed;
      if (rng.streams() == 1)
        seed = static_cast<int64_t>(rng.generator().current_seed() & std::numeric_limits<int64_t>::max());
      path_.emplace(x, static_cast<float>(config_.sigma_min), static_cast<float>(config_.sigma_max), seed, rng);
    }
    return (*path_)(from, to);
  }

  std::optional<BrownianNoise> path_;
};

class CosineScheduler final : public Scheduler {
 public:
  CosineScheduler(const CosineConfig& config, const Json& json)
      : Scheduler(config.num_train_timesteps, config.prediction_type, kCosineDpmMultistepName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const auto sigmas = edm_sigmas(config_, options.steps, false);
    const bool to_zero = config_.final_sigmas_type == FinalSigmas::zero;
    auto grid = edm_grid(sigmas, to_zero ? 0 : static_cast<float>(config_.sigma_min));
    const DpmOrders orders{config_.solver_order, config_.lower_order_final, config_.euler_at_final};
    auto plan = plan_multistep(DpmAlgorithm::sde_dpmsolver_pp, config_.solver_type, orders, grid.levels, options.begin);
    auto timesteps = (at::tensor(sigmas).atan() / std::numbers::pi * 2).unbind(0);
    return Run(std::move(timesteps), options.begin, edm_init_noise_sigma(config_),
               std::make_unique<CosineSolver>(config_, ThresholdOptions{}, std::move(grid), std::move(plan), true));
  }

  const CosineConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_cosine_dpm_multistep(const Json& json) {
  const auto config = read_config<CosineConfig>(kCosineDpmMultistepName, json);
  check_config(kCosineDpmMultistepName, config);
  check_order(kCosineDpmMultistepName, "solver_order", config.solver_order, 2);
  return std::make_shared<CosineScheduler>(config, settled_config(json, to_json(config), {"solver_type"}));
}

}  // namespace unnoise
