// RES, multistep: Zhang, Song & Chen 2023, "Improved Order Analysis and Design of Exponential Integrator for Diffusion
// Models Sampling", section 3. In lambda the ODE is d(x / sigma) / d lambda = e^lambda x0; x0 is the polynomial through
// past outputs, and its integral, by the functions phi_1(-h), phi_2(-h), ..., is exact:
//   x_t = sigma_t / sigma_s x + alpha_t h (b_1 m_0 + b_2 m_1),   b_2 = phi_2(-h) / c_2,  b_1 = phi_1(-h) - b_2
// with c_2 = (lambda_{s-1} - lambda_s) / h, which meets all conditions of order 2.
#include <algorithm>

#include "unnoise/schedulers/dpm_updates.h"
#include "unnoise/schedulers/exponential_adams.h"

namespace unnoise {
namespace {

constexpr auto kResMultistepName = "RESMultistepScheduler";
constexpr DpmGridRules kResMultistepRules{.ends_at_table = true};

struct ResConfig : DpmConfig {
  static constexpr auto fields() {
    return std::tuple_cat(beta_fields(), order_field(), prediction_fields(), final_order_field(), grid_fields(),
                          lu_field(), final_sigmas_field(), clip_fields(), spacing_fields(), zero_snr_field(),
                          shifting_fields());
  }
};

DpmUpdate res_update(const std::vector<DpmLevel>& levels, const std::vector<size_t>& past) {
  const DpmLevel &s = levels[past[0]], &t = levels[past[0] + 1];
  if (t.sigma == 0) return {0, {t.alpha}, 0};
  std::vector<double> u;  // lambda of the outputs, counted from t
  for (const size_t step : past) u.push_back(static_cast<double>(levels[step].lambda) - t.lambda);
  DpmUpdate update{t.sigma / s.sigma, exponential_adams_weights(u, u[0], 0, 1), 0};
  for (double& weight : update.m) weight *= t.alpha;
  return update;
}

class ResScheduler final : public Scheduler {
 public:
  ResScheduler(const ResConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kResMultistepName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override {
    if (config_.use_dynamic_shifting) return {"timesteps", "mu"};
    return {"timesteps"};
  }

 private:
  Run make_run(const StartOptions& options) const override {
    auto grid = dpm_grid(kResMultistepName, config_, noise(), options, kResMultistepRules);
    auto tensors = timestep_tensors(grid.timesteps);
    const auto& levels = grid.levels;
    const DpmOrders orders{config_.solver_order, config_.lower_order_final, false};
    auto plan = plan_steps(levels, options.begin, config_.solver_order, [&](size_t step, std::vector<size_t> past) {
      past.resize(std::min(past.size(), static_cast<size_t>(orders.at(step, levels))));
      return res_update(levels, past);
    });
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DpmMultistepSolver>(config_.prediction_type, config_, Integrand::x0, std::move(grid),
                                                    std::move(plan), false));
  }

  const ResConfig config_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_res_multistep(const Json& json) {
  const auto config = read_config<ResConfig>(kResMultistepName, json);
  check_config(kResMultistepName, config, kResMultistepRules);
  return std::make_shared<ResScheduler>(config, json);
}

}  // namespace unnoise
