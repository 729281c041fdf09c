// DPM-Solver++(2S) and its relatives: Lu et al. 2022, "DPM-Solver" (algorithms 1 and 2) and "DPM-Solver++" (algorithm
// 1). A stretch of the path is taken in 1, 2 or 3 calls of the network; each call leads on from the stretch's beginning
// with one order more than the call before, so that every step of the grid is an intermediate point of its stretch.
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/dpm_updates.h"

namespace unnoise {
namespace {

constexpr auto kDpmSinglestepName = "DPMSolverSinglestepScheduler";
constexpr DpmGridRules kDpmSinglestepRules{.ends_at_table = true};

struct DpmSinglestepConfig : DpmConfig {
  DpmAlgorithm algorithm_type = DpmAlgorithm::dpmsolver_pp;
  DpmSolverType solver_type = DpmSolverType::midpoint;

  DpmSinglestepConfig() { lower_order_final = false; }

  static constexpr auto fields() {
    using C = DpmSinglestepConfig;
    return std::tuple_cat(
        beta_fields(), order_field(), prediction_fields(),
        std::tuple{field("algorithm_type", &C::algorithm_type, "++ integrates x0, else eps; sde adds fresh noise"),
                   field("solver_type", &C::solver_type, "weights of the last call of a stretch: midpoint or heun")},
        final_order_field(), grid_fields(), final_sigmas_field(), clip_fields(), shifting_fields());
  }
};

/// Which call of its stretch each step is: 1,2,3,1,2,3,... A stretch that the end cuts short is a shorter one.
std::vector<int64_t> orders(const DpmSinglestepConfig& config, int64_t steps) {
  const int64_t order = config.solver_order;
  std::vector<int64_t> list;
  for (int64_t i = 0; i < steps; ++i) list.push_back(i % order + 1);
  const bool to_zero = config.final_sigmas_type == FinalSigmas::zero;
  if (to_zero || (config.lower_order_final && steps % order == 0)) list.back() = 1;
  return list;
}

/// From levels[past.back()], where the stretch began, to the level after past[0]; the past levels differ.
DpmUpdate stretch_update(DpmAlgorithm algorithm, DpmSolverType type, const std::vector<DpmLevel>& levels,
                         const std::vector<size_t>& past) {
  const DpmLevel &s = levels[past.back()], &t = levels[past[0] + 1];
  const auto [x, d0, d1, d2, noise] = dpm_taylor(algorithm, s, t);
  if (past.size() == 1) return {x, {d0}, noise};
  const float h = t.lambda - s.lambda;
  const double r0 = (levels[past[0]].lambda - s.lambda) / h;
  if (past.size() == 2) {  // D1 = (m0 - m1) / r0
    const double w = (type == DpmSolverType::midpoint ? d0 / 2 : d1) / r0;
    return {x, {w, d0 - w}, noise};
  }
  // D10 = (m1 - m2) / r1, D11 = (m0 - m2) / r0, D1 = (r0 D10 - r1 D11) / (r0 - r1), D2 = 2 (D11 - D10) / (r0 - r1)
  const double r1 = (levels[past[1]].lambda - s.lambda) / h;
  double w10 = 0, w11 = d1;  // midpoint: D1 = D11
  if (type == DpmSolverType::heun) {
    w10 = (d1 * r0 - 2 * d2) / (r0 - r1);
    w11 = (2 * d2 - d1 * r1) / (r0 - r1);
  }
  return {x, {w11 / r0, w10 / r1, d0 - w11 / r0 - w10 / r1}, noise};
}

/// The updates from step `begin` on; as many weights as the stretch has had calls. A call at the level of the one
/// before, which many steps on few timesteps lead to, tells nothing new and weighs nothing.
std::vector<DpmUpdate> plan_stretches(const DpmSinglestepConfig& config, const std::vector<DpmLevel>& levels,
                                      int64_t begin) {
  const auto order = orders(config, static_cast<int64_t>(levels.size()) - 1);
  std::vector<DpmUpdate> plan(order.size());
  size_t calls = 0;  // of the stretch so far
  for (auto i = static_cast<size_t>(std::max<int64_t>(begin, 0)); i < order.size(); ++i) {
    calls = std::min(calls + 1, static_cast<size_t>(order[i]));
    std::vector<size_t> distinct, place;
    for (size_t k = 0; k < calls; ++k) {
      if (k + 1 < calls && levels[i - k].lambda == levels[i - k - 1].lambda) continue;
      distinct.push_back(i - k);
      place.push_back(k);
    }
    const auto update = stretch_update(config.algorithm_type, config.solver_type, levels, distinct);
    plan[i] = {update.x, std::vector<double>(calls), update.noise};
    for (size_t k = 0; k < place.size(); ++k) plan[i].m[place[k]] = update.m[k];
  }
  return plan;
}

class DpmSinglestepSolver final : public DpmSolver {
 public:
  DpmSinglestepSolver(const DpmSinglestepConfig& config, DpmGrid grid, std::vector<DpmUpdate> plan)
      : DpmSolver(config.prediction_type, config, predicts_x0(config.algorithm_type) ? Integrand::x0 : Integrand::eps,
                  std::move(grid)),
        plan_(std::move(plan)),
        stochastic_(is_stochastic(config.algorithm_type)) {}

  StepResult step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) override {
    const auto [x0, m] = convert(x, model_output, step);
    const Tensor noise = stochastic_ ? rng.normal_like(x) : Tensor();
    const auto& update = plan_[static_cast<size_t>(step.index)];
    if (update.m.size() == 1) {
      outputs_.clear();
      beginning_ = x;
    }
    outputs_.insert(outputs_.begin(), m);
    return {apply(update, beginning_, outputs_, noise, m.scalar_type()), x0};
  }

 private:
  const std::vector<DpmUpdate> plan_;
  const bool stochastic_;
  std::vector<Tensor> outputs_;  // of this stretch, newest first
  Tensor beginning_;             // of this stretch
};

class DpmSinglestepScheduler final : public Scheduler {
 public:
  DpmSinglestepScheduler(const DpmSinglestepConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kDpmSinglestepName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override {
    if (config_.use_dynamic_shifting) return {"timesteps", "mu"};
    return {"timesteps"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    auto grid = dpm_grid(kDpmSinglestepName, config_, noise(), options, kDpmSinglestepRules);
    auto tensors = timestep_tensors(grid.timesteps);
    auto plan = plan_stretches(config_, grid.levels, options.begin);
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DpmSinglestepSolver>(config_, std::move(grid), std::move(plan)));
  }

  const DpmSinglestepConfig config_;
};

void check(const DpmSinglestepConfig& config) {
  check_config(kDpmSinglestepName, config, kDpmSinglestepRules);
  if (config.algorithm_type == DpmAlgorithm::sde_dpmsolver)
    throw usage_error(fmt::format("{}: algorithm_type: \"sde-dpmsolver\" has no singlestep form", kDpmSinglestepName),
                      "Take \"sde-dpmsolver++\".");
  if (predicts_x0(config.algorithm_type)) return;
  check_prediction_type(kDpmSinglestepName, config.prediction_type,
                        {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction});
  if (config.final_sigmas_type == FinalSigmas::zero)
    throw usage_error(
        fmt::format("{}: algorithm_type \"dpmsolver\" cannot step to final_sigmas_type \"zero\"", kDpmSinglestepName),
        "Set final_sigmas_type to \"sigma_min\", or take \"dpmsolver++\".");
}

}  // namespace

std::shared_ptr<const Scheduler> make_dpm_singlestep(const Json& json) {
  const auto config = read_config<DpmSinglestepConfig>(kDpmSinglestepName, json);
  check(config);
  return std::make_shared<DpmSinglestepScheduler>(
      config, settled_config(json, to_json(config), {"algorithm_type", "solver_type"}));
}

}  // namespace unnoise
