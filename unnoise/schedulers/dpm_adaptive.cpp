// DPM-Solver with adaptive steps: Lu et al. 2022, "DPM-Solver", appendix C, "DPM-Solver-23". A second- and a
// third-order step share their calls of the network; their difference says how long the next step may be. With y = x /
// alpha the paper's alpha is 1 and lambda = -log sigma.
#include <ATen/TensorOperators.h>
#include <ATen/ops/maximum.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/adaptive.h"

namespace unnoise {
namespace {

constexpr auto kDpmAdaptiveName = "DPMSolverAdaptiveScheduler";

// Appendix C: theta, and the first step in lambda; its tolerances for pictures in [-1,1].
constexpr double kSafety = 0.9, kFirstStep = 0.05;
constexpr OdeTolerance kTolerance{.rtol = 0.05, .atol = 0.0078};
constexpr double kR1 = 1.0 / 3, kR2 = 2.0 / 3;
constexpr double kShortestStep = 1e-6;

class DpmAdaptiveSolver final : public AdaptiveSolver {
 public:
  DpmAdaptiveSolver(const AdaptiveConfig& config, SigmaTable table, const OdeTolerance& tolerance)
      : AdaptiveSolver(config, std::move(table)), tolerance_(tolerance), lambda_(-first_tau()) {
    choose_step(kFirstStep);
  }

 private:
  /// A stretch is three calls: at its begin (kept when the step is tried again), a third and two thirds along.
  std::optional<Point> advance(const Tensor& y, const Tensor& denoised) override {
    if (denoised_last_) return std::nullopt;
    const Tensor eps = (y - denoised) / std::exp(-lambda_now_.value_or(lambda_));
    switch (stage_) {
      case 0:
        y_ = y;
        eps_ = eps;
        return first_third();
      case 1:
        eps1_ = eps;
        return second_third();
      default:
        return finish(eps);
    }
  }

  Point at(const Tensor& y, double lambda) {
    lambda_now_ = lambda;
    return {y, -lambda};
  }

  /// DPM-Solver-1 to r1: eq. 3.7
  Point first_third() {
    stage_ = 1;
    const double s1 = lambda_ + kR1 * h_;
    return at(y_ - std::exp(-s1) * std::expm1(kR1 * h_) * eps_, s1);
  }

  /// Algorithm 2, line 6
  Point second_third() {
    stage_ = 2;
    const double s2 = lambda_ + kR2 * h_, rh = kR2 * h_;
    return at(y_ - std::exp(-s2) * std::expm1(rh) * eps_ -
                  std::exp(-s2) * (kR2 / kR1) * (std::expm1(rh) / rh - 1) * (eps1_ - eps_),
              s2);
  }

  std::optional<Point> finish(const Tensor& eps2) {
    const double t = lambda_ + h_, sigma = std::exp(-t);
    const Tensor base = y_ - sigma * std::expm1(h_) * eps_;
    const Tensor lower = base - sigma / (2 * kR1) * std::expm1(h_) * (eps1_ - eps_);       // algorithm 1
    const Tensor higher = base - sigma / kR2 * (std::expm1(h_) / h_ - 1) * (eps2 - eps_);  // algorithm 2
    const Tensor allowed = at::maximum(lower.abs(), y_.abs()) * tolerance_.rtol + tolerance_.atol;
    const Tensor miss = ((lower - higher) / allowed).reshape({y_.size(0), -1});
    const double error = std::sqrt(miss.square().mean(1).max().item<double>());

    const bool is_good = std::isfinite(error) && error <= 1;
    if (is_good) {
      lambda_ = is_last_ ? -last_tau() : t;
      y_ = higher;
    }
    const double factor = std::isfinite(error) ? std::clamp(kSafety * std::pow(error, -1.0 / 3), 0.2, 5.0) : 0.2;
    const bool is_end = is_good && is_last_;
    choose_step(h_ * factor);
    if (is_end) {
      denoised_last_ = true;
      return at(y_, lambda_);
    }
    if (!is_good) return first_third();
    stage_ = 0;
    return at(y_, lambda_);
  }

  void choose_step(double h) {
    const double left = -last_tau() - lambda_;
    if (h < kShortestStep && left > kShortestStep)
      throw data_error(fmt::format("{}: the error stays too large at sigma {}", kDpmAdaptiveName, std::exp(-lambda_)),
                       "Give a larger rtol and atol; if the samples are not finite, the weights have diverged.");
    is_last_ = h >= 0.999 * left;
    h_ = is_last_ ? left : h;
  }

  const OdeTolerance tolerance_;
  double lambda_;                     // where the stretch begins
  std::optional<double> lambda_now_;  // where the network was asked last
  double h_ = 0;
  int stage_ = 0;
  bool is_last_ = false, denoised_last_ = false;
  Tensor y_, eps_, eps1_;
};

class DpmAdaptiveScheduler final : public Scheduler {
 public:
  DpmAdaptiveScheduler(const AdaptiveConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kDpmAdaptiveName, json, to_json(config)),
        config_(config),
        table_(noise()) {
    check_config(kDpmAdaptiveName, config_, table_);
  }

  std::vector<std::string_view> run_options() const override { return {"rtol", "atol"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    const OdeTolerance tolerance{options.rtol.value_or(kTolerance.rtol), options.atol.value_or(kTolerance.atol)};
    check_tolerance(tolerance);
    auto solver = std::make_unique<DpmAdaptiveSolver>(config_, table_, tolerance);
    auto first = solver->first_timestep();
    const double sigma_max = solver->sigma_max();
    return Run(std::move(first), options.begin, std::sqrt(1 + sigma_max * sigma_max), std::move(solver));
  }

  const AdaptiveConfig config_;
  const SigmaTable table_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_dpm_adaptive(const Json& json) {
  return std::make_shared<DpmAdaptiveScheduler>(read_config<AdaptiveConfig>(kDpmAdaptiveName, json), json);
}

}  // namespace unnoise
