// DEIS: Zhang & Chen 2023, "Fast Sampling of Diffusion Models with Exponential Integrator", the log-rho Adams-Bashforth
// method. With rho = sigma / alpha the ODE is d(x / alpha) / d rho = eps; eps is the polynomial in log rho through the
// last outputs, integrated exactly (eq. 15).
#include <algorithm>
#include <cmath>

#include "unnoise/schedulers/dpm_updates.h"
#include "unnoise/schedulers/exponential_adams.h"

namespace unnoise {
namespace {

constexpr auto kDeisName = "DEISMultistepScheduler";

/// There is one method; the names of other classes' methods count as it.
enum class DeisAlgorithm { deis };
constexpr auto enum_names(DeisAlgorithm) {
  using enum DeisAlgorithm;
  return std::array{std::pair{deis, "deis"}, std::pair{deis, "dpmsolver"}, std::pair{deis, "dpmsolver++"},
                    std::pair{deis, "sde-dpmsolver"}, std::pair{deis, "sde-dpmsolver++"}};
}
enum class DeisSolverType { logrho };
constexpr auto enum_names(DeisSolverType) {
  using enum DeisSolverType;
  return std::array{std::pair{logrho, "logrho"}, std::pair{logrho, "midpoint"}, std::pair{logrho, "heun"},
                    std::pair{logrho, "bh1"}, std::pair{logrho, "bh2"}};
}

struct DeisConfig : DpmConfig {
  DeisAlgorithm algorithm_type = DeisAlgorithm::deis;
  DeisSolverType solver_type = DeisSolverType::logrho;

  DeisConfig() { final_sigmas_type = FinalSigmas::sigma_min; }

  static constexpr auto fields() {
    using C = DeisConfig;
    return std::tuple_cat(
        beta_fields(), order_field(), prediction_fields(),
        std::tuple{field("algorithm_type", &C::algorithm_type, "deis"),
                   field("solver_type", &C::solver_type, "logrho: polynomials in log(sigma / alpha)")},
        final_order_field(), grid_fields(), spacing_fields(), shifting_fields());
  }
};

/// In double: diffusers' float32 formulas cancel to nothing where steps are short.
DpmUpdate deis_update(const std::vector<DpmLevel>& levels, const std::vector<size_t>& past) {
  const DpmLevel &s = levels[past[0]], &t = levels[past[0] + 1];
  if (past.size() == 1) {
    const auto [x, d0, d1, d2, noise] = dpm_taylor(DpmAlgorithm::dpmsolver, s, t);
    return {x, {d0}, 0};
  }
  const auto log_rho = [](const DpmLevel& level) { return std::log(static_cast<double>(level.sigma) / level.alpha); };
  std::vector<double> nodes;
  for (const size_t step : past) nodes.push_back(log_rho(levels[step]));
  DpmUpdate update{t.alpha / s.alpha, exponential_adams_weights(nodes, nodes[0], log_rho(t), 1), 0};
  for (double& weight : update.m) weight *= t.alpha;
  return update;
}

class DeisScheduler final : public Scheduler {
 public:
  DeisScheduler(const DeisConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kDeisName, json, to_json(config)), config_(config) {}

  std::vector<std::string_view> run_options() const override {
    if (config_.use_dynamic_shifting) return {"mu"};
    return {};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    auto grid = dpm_grid(kDeisName, config_, noise(), options);
    auto tensors = timestep_tensors(grid.timesteps);
    const auto& levels = grid.levels;
    const DpmOrders orders{config_.solver_order, config_.lower_order_final, false};
    auto plan = plan_steps(levels, options.begin, config_.solver_order, [&](size_t step, std::vector<size_t> past) {
      past.resize(std::min(past.size(), static_cast<size_t>(orders.at(step, levels))));
      return deis_update(levels, past);
    });
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DpmMultistepSolver>(config_.prediction_type, config_, Integrand::eps, std::move(grid),
                                                    std::move(plan), false));
  }

  const DeisConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_deis(const Json& json) {
  const auto config = read_config<DeisConfig>(kDeisName, json);
  check_config(kDeisName, config);
  return std::make_shared<DeisScheduler>(config,
                                         settled_config(json, to_json(config), {"algorithm_type", "solver_type"}));
}

}  // namespace unnoise
