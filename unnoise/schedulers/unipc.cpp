// UniPC: Zhao et al. 2023, "UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models",
// algorithms 5 and 6. Each call of the network first corrects the step that led to it (UniC), then predicts the next
// (UniP), so that the corrector costs no call of its own.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/dpm_solver.h"
#include "unnoise/schedulers/scalar_math.h"

namespace unnoise {
namespace {

constexpr auto kUnipcName = "UniPCMultistepScheduler";
constexpr DpmGridRules kUnipcRules{.flow_of_unipc = true};

/// B(h), eq. 9 and section 3.3; the names of DPM-Solver and DEIS count as bh2.
enum class Bh { bh1, bh2 };

constexpr auto enum_names(Bh) {
  return std::array{std::pair{Bh::bh1, "bh1"}, std::pair{Bh::bh2, "bh2"}, std::pair{Bh::bh2, "midpoint"},
                    std::pair{Bh::bh2, "heun"}, std::pair{Bh::bh2, "logrho"}};
}

struct UniPcConfig : DpmConfig {
  bool predict_x0 = true;
  Bh solver_type = Bh::bh2;
  std::vector<int64_t> disable_corrector;
  std::optional<std::string> solver_p;

  static constexpr auto fields() {
    using C = UniPcConfig;
    return std::tuple_cat(
        beta_fields(), order_field(), prediction_fields(),
        std::tuple{field("predict_x0", &C::predict_x0, "integrate x0 (else eps)"),
                   field("solver_type", &C::solver_type, "B(h): bh1 = h, bh2 = e^h - 1")},
        final_order_field(),
        std::tuple{field("disable_corrector", &C::disable_corrector, "steps (from 0) that are not corrected"),
                   field("solver_p", &C::solver_p, "another scheduler as predictor; null is all that is known here")},
        grid_fields(), spacing_fields(), final_sigmas_field(), zero_snr_field(), shifting_fields(),
        std::tuple{field("sigma_min", &C::sigma_min, "lowest level of Karras, exponential and beta sigmas"),
                   field("sigma_max", &C::sigma_max, "highest level of the same"),
                   field("shift_terminal", &C::shift_terminal, "stretch the sigmas of a flow to end here")});
  }
};

/// The solution rho of sum_k r_k^(i-1) rho_k = b_i, i = 1 .. n <= 3, by elimination.
std::vector<double> solve_vandermonde(const std::vector<double>& r, std::vector<double> b) {
  const size_t n = r.size();
  std::array<std::array<double, 3>, 3> a{};
  for (size_t i = 0; i < n; ++i)
    for (size_t k = 0; k < n; ++k) a[i][k] = i == 0 ? 1 : a[i - 1][k] * r[k];
  for (size_t p = 0; p < n; ++p)  // the pivots are products of differences of the r_k, never 0
    for (size_t i = p + 1; i < n; ++i) {
      const double f = a[i][p] / a[p][p];
      for (size_t k = p; k < n; ++k) a[i][k] -= f * a[p][k];
      b[i] -= f * b[p];
    }
  for (size_t p = n; p-- > 0;) {
    for (size_t k = p + 1; k < n; ++k) b[p] -= a[p][k] * b[k];
    b[p] /= a[p][p];
  }
  return b;
}

/// Weights of UniP and UniC for a step from past[0] to the level after it. M_k of the update: the output of past[k];
/// for UniC, M_0 is the output at the target and M_{k+1} that of past[k].
class UniPcWeights {
 public:
  UniPcWeights(const UniPcConfig& config, const std::vector<DpmLevel>& levels, const std::vector<size_t>& past)
      : order_(past.size()) {
    const DpmLevel &s = levels[past[0]], &t = levels[past[0] + 1];
    const float h = t.lambda - s.lambda;
    hh_ = config.predict_x0 ? -h : h;
    phi_1_ = torch_expm1(hh_);
    b_h_ = config.solver_type == Bh::bh1 ? hh_ : phi_1_;
    x_ = config.predict_x0 ? t.sigma / s.sigma : t.alpha / s.alpha;
    scale_ = config.predict_x0 ? t.alpha : t.sigma;
    // sigma_t (e^h - 1) where sigma_t = 0 and h is infinite
    m0_ = t.sigma == 0 && !config.predict_x0 ? t.alpha * s.sigma / s.alpha : scale_ * phi_1_;
    for (size_t k = 1; k < order_; ++k) r_.push_back((levels[past[k]].lambda - s.lambda) / h);
  }

  DpmUpdate predictor() const {
    DpmUpdate update{x_, {-m0_}, 0};
    if (order_ == 1) return update;
    const auto rho = order_ == 2 ? std::vector<double>{0.5} : solve_vandermonde(r_, right_side(order_ - 1));
    add_differences(update, rho, 0);
    return update;
  }

  DpmUpdate corrector() const {
    DpmUpdate update{x_, {0, -m0_}, 0};
    std::vector<double> rho{0.5};
    if (order_ > 1) {
      auto r = r_;
      r.push_back(1);
      rho = solve_vandermonde(r, right_side(order_));
    }
    const double newest = scale_ * b_h_ * rho.back();  // on the output at the target less M_1
    rho.pop_back();
    update.m[0] -= newest;
    update.m[1] += newest;
    add_differences(update, rho, 1);
    return update;
  }

 private:
  /// - scale B(h) sum_k rho_k (m_k - m_0) / r_k, where m_0 is the update's M_at.
  void add_differences(DpmUpdate& update, const std::vector<double>& rho, size_t at) const {
    for (size_t k = 0; k < rho.size(); ++k) {
      const double w = scale_ * b_h_ * rho[k] / r_[k];
      update.m[at] += w;
      update.m.push_back(-w);
    }
  }

  /// b_i = i! h^i phi_{i+1}(h) / (B(h) h^(i-1) ...), eq. 10, by the recursion of the phi functions; float32 as there.
  std::vector<double> right_side(size_t n) const {
    std::vector<double> b;
    float phi_k = phi_1_ / hh_ - 1, factorial = 1;
    for (size_t i = 1; i <= n; ++i) {
      b.push_back(phi_k * factorial / b_h_);
      factorial *= static_cast<float>(i + 1);
      phi_k = phi_k / hh_ - 1 / factorial;
    }
    return b;
  }

  size_t order_;
  float hh_, phi_1_, b_h_;
  double x_, scale_, m0_;
  std::vector<double> r_;  // (lambda_k - lambda_0) / h of the older outputs, falling below 0
};

class UniPcScheduler final : public Scheduler {
 public:
  UniPcScheduler(const UniPcConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kUnipcName, json, to_json(config)), config_(config) {}

  std::vector<std::string_view> run_options() const override {
    std::vector<std::string_view> used;
    if (config_.use_flow_sigmas) used.emplace_back("sigmas");
    if (config_.use_dynamic_shifting) used.emplace_back("mu");
    return used;
  }

 private:
  Run make_run(const StartOptions& options) const override {
    auto grid = dpm_grid(kUnipcName, config_, noise(), options, kUnipcRules);
    auto tensors = timestep_tensors(grid.timesteps);
    const auto& levels = grid.levels;
    DpmPlan correctors(grid.steps());
    auto predictors = plan_steps(levels, options.begin, config_.solver_order, [&](size_t i, std::vector<size_t> past) {
      const size_t left = grid.steps() - i;
      if (config_.lower_order_final) past.resize(std::min(past.size(), left));
      if (levels[i + 1].sigma == 0) past.resize(1);  // h is infinite
      const UniPcWeights weights(config_, levels, past);
      if (left > 1 && !is_disabled(i)) correctors[i + 1] = weights.corrector();
      return weights.predictor();
    });
    return Run(std::move(tensors), options.begin, 1.0,
               std::make_unique<DpmPredictorCorrectorSolver>(
                   config_.prediction_type, config_, config_.predict_x0 ? Integrand::x0 : Integrand::eps,
                   std::move(grid), std::move(predictors), std::move(correctors), false));
  }

  bool is_disabled(size_t step) const {
    const auto& list = config_.disable_corrector;
    return std::find(list.begin(), list.end(), static_cast<int64_t>(step)) != list.end();
  }

  const UniPcConfig config_;
};

void check(const UniPcConfig& config) {
  check_config(kUnipcName, config, kUnipcRules);
  if (config.solver_p)
    throw usage_error(fmt::format("{}: solver_p: another predictor than UniP is not known", kUnipcName),
                      "Leave it null.");
  if (!config.predict_x0)
    check_prediction_type(kUnipcName, config.prediction_type,
                          {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction});
}

}  // namespace

std::shared_ptr<const Scheduler> make_unipc(const Json& json) {
  const auto config = read_config<UniPcConfig>(kUnipcName, json);
  check(config);
  return std::make_shared<UniPcScheduler>(config, settled_config(json, to_json(config), {"solver_type"}));
}

}  // namespace unnoise
