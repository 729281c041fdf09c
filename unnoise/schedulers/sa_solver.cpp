// SA-Solver: Xue et al. 2023, "SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models", algorithm 1.
// The SDE whose noise is tau times that of the reverse diffusion (tau = 0: the ODE), integrated exactly but for the
// network's output, which is a polynomial in lambda through past values: Adams-Bashforth predicts, Adams-Moulton
// corrects with the next output.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/dpm_solver.h"
#include "unnoise/schedulers/exponential_adams.h"

namespace unnoise {
namespace {

constexpr auto kSaSolverName = "SASolverScheduler";

/// The methods of DPM-Solver and DEIS count as the one over the same integrand, so that their models can be sampled.
enum class SaAlgorithm { data_prediction, noise_prediction };
constexpr auto enum_names(SaAlgorithm) {
  using enum SaAlgorithm;
  return std::array{std::pair{data_prediction, "data_prediction"},
                    std::pair{noise_prediction, "noise_prediction"},
                    std::pair{data_prediction, "dpmsolver++"},
                    std::pair{data_prediction, "sde-dpmsolver++"},
                    std::pair{noise_prediction, "dpmsolver"},
                    std::pair{noise_prediction, "sde-dpmsolver"},
                    std::pair{data_prediction, "deis"}};
}

struct SaConfig : DpmConfig {
  int64_t predictor_order = 2;
  int64_t corrector_order = 2;
  std::optional<std::string> tau_func;
  SaAlgorithm algorithm_type = SaAlgorithm::data_prediction;

  SaConfig() { final_sigmas_type = FinalSigmas::sigma_min; }

  static constexpr auto fields() {
    using C = SaConfig;
    return std::tuple_cat(
        beta_fields(),
        std::tuple{field("predictor_order", &C::predictor_order, "order of the predictor, 1 to 4"),
                   field("corrector_order", &C::corrector_order, "order of the corrector, 1 to 4"),
                   field("tau_func", &C::tau_func, "null: noise at timesteps from 200 to 800, none elsewhere")},
        prediction_fields(),
        std::tuple{field("algorithm_type", &C::algorithm_type, "integrate x0 (data_prediction) or eps")},
        final_order_field(), grid_fields(), clip_fields(), spacing_fields());
  }

  bool integrates_x0() const { return algorithm_type == SaAlgorithm::data_prediction; }
};

/// Annealed as in appendix E.
double tau(int64_t timestep) { return timestep >= 200 && timestep <= 800 ? 1 : 0; }

/// The step from level s to t, eq. 14 and 17 (x0), with the polynomial through the outputs at `nodes`, newest first; a
/// corrector's first node is t itself. In double: diffusers' float32 weights are differences of products of lambda.
DpmUpdate sa_update(const SaConfig& config, const std::vector<DpmLevel>& levels, size_t s_index, double tau,
                    const std::vector<size_t>& nodes) {
  const DpmLevel &s = levels[s_index], &t = levels[s_index + 1];
  const double h = static_cast<double>(t.lambda) - s.lambda, r = 1 + tau * tau;
  std::vector<double> u;  // lambda of the nodes, counted from t
  for (const size_t node : nodes) u.push_back(static_cast<double>(levels[node].lambda) - t.lambda);

  if (!config.integrates_x0()) {
    DpmUpdate update{t.alpha / s.alpha, exponential_adams_weights(u, -h, 0, -1),
                     tau * t.sigma * std::sqrt(std::max(std::expm1(2 * h), 0.0))};
    for (double& weight : update.m) weight *= -r * t.sigma;
    return update;
  }
  DpmUpdate update{std::exp(-tau * tau * h) * t.sigma / s.sigma, exponential_adams_weights(u, -h, 0, r),
                   t.sigma * std::sqrt(std::max(-std::expm1(-2 * tau * tau * h), 0.0))};
  if (nodes.size() == 2) {  // a second order term in h is taken as h^2/2, appendix B
    const double term = (h * h / 2 - (h * r + std::expm1(-r * h)) / (r * r)) / (u[0] - u[1]);
    update.m[0] += term;
    update.m[1] -= term;
  }
  for (double& weight : update.m) weight *= r * t.alpha;
  return update;
}

class SaScheduler final : public Scheduler {
 public:
  SaScheduler(const SaConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kSaSolverName, json, to_json(config)),
        config_(config) {}

  std::vector<std::string_view> run_options() const override { return {}; }

 private:
  Run make_run(const StartOptions& options) const override {
    auto grid = dpm_grid(kSaSolverName, config_, noise(), options);
    auto tensors = timestep_tensors(grid.timesteps);
    DpmPlan correctors(grid.steps());
    const int64_t memory = std::max(config_.predictor_order, config_.corrector_order - 1);
    auto predictors = plan_steps(grid.levels, options.begin, memory, [&](size_t i, std::vector<size_t> past) {
      const auto left = static_cast<int64_t>(grid.steps() - i);
      const auto order = [&](int64_t highest, int64_t known) {
        return static_cast<size_t>(std::min(config_.lower_order_final ? std::min(highest, left + known) : highest,
                                            static_cast<int64_t>(past.size()) + known));
      };
      const double tau = unnoise::tau(grid.timesteps[i]);
      if (left > 1) {
        std::vector<size_t> nodes = past;
        nodes.insert(nodes.begin(), i + 1);
        nodes.resize(order(config_.corrector_order, 1));
        correctors[i + 1] = sa_update(config_, grid.levels, i, tau, nodes);
      }
      past.resize(order(config_.predictor_order, 0));
      return sa_update(config_, grid.levels, i, tau, past);
    });
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DpmPredictorCorrectorSolver>(
                   config_.prediction_type, config_, config_.integrates_x0() ? Integrand::x0 : Integrand::eps,
                   std::move(grid), std::move(predictors), std::move(correctors), true));
  }

  const SaConfig config_;
};

void check(const SaConfig& config) {
  check_config(kSaSolverName, config);
  check_order(kSaSolverName, "predictor_order", config.predictor_order, 4);
  check_order(kSaSolverName, "corrector_order", config.corrector_order, 4);
  if (config.tau_func)
    throw usage_error(fmt::format("{}: tau_func: only null is known", kSaSolverName), "A function cannot be saved.");
  if (!config.integrates_x0())
    check_prediction_type(kSaSolverName, config.prediction_type,
                          {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction});
}

}  // namespace

std::shared_ptr<const Scheduler> make_sa_solver(const Json& json) {
  const auto config = read_config<SaConfig>(kSaSolverName, json);
  check(config);
  return std::make_shared<SaScheduler>(config, settled_config(json, to_json(config), {"algorithm_type"}));
}

}  // namespace unnoise
