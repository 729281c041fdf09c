// The probability-flow ODE by Dormand & Prince's 5(4) pair with a tolerance instead of a number of steps; what Song et
// al. 2021, "Score-Based Generative Modeling through SDEs", section 4.3, sample with (there RK45).
//
// Integrated is z = y / sqrt(1 + sigma^2), the picture at the network's own scale: of unit size at every level, so that
// one tolerance serves the whole way.
#include <ATen/TensorOperators.h>

#include <cmath>

#include "unnoise/schedulers/adaptive.h"

namespace unnoise {
namespace {

constexpr auto kDopri5Name = "DormandPrinceScheduler";
constexpr OdeSteps kSteps{.first = 0.1, .longest = 2};  // in log sigma

class Dopri5Solver final : public AdaptiveSolver {
 public:
  Dopri5Solver(const AdaptiveConfig& config, SigmaTable table, const OdeTolerance& tolerance)
      : AdaptiveSolver(config, std::move(table)), tolerance_(tolerance) {}

 private:
  std::optional<Point> advance(const Tensor& y, const Tensor& denoised) override {
    if (!ode_) ode_.emplace(y / size(first_tau()), first_tau(), last_tau(), kSteps, tolerance_);
    // z' = y' / size - y size' / size^2, with y' = y - D and size' = sigma^2 / size
    const double size = this->size(ode_->s()), sigma2 = size * size - 1;
    ode_->advance((y - denoised - y * (sigma2 / (size * size))) / size);
    if (ode_->is_done()) return std::nullopt;
    return Point{ode_->y() * this->size(ode_->s()), ode_->s()};
  }

  static double size(double tau) { return std::sqrt(1 + std::exp(2 * tau)); }

  const OdeTolerance tolerance_;
  std::optional<DormandPrince> ode_;
};

class Dopri5Scheduler final : public Scheduler {
 public:
  Dopri5Scheduler(const AdaptiveConfig& config, const Json& json)
      : Scheduler(NoiseSchedule(config), config.prediction_type, kDopri5Name, json, to_json(config)),
        config_(config),
        table_(noise()) {
    check_config(kDopri5Name, config_, table_);
  }

  std::vector<std::string_view> run_options() const override { return {"rtol", "atol"}; }

 private:
  Run make_run(const StartOptions& options) const override {
    OdeTolerance tolerance;
    tolerance.rtol = options.rtol.value_or(tolerance.rtol);
    tolerance.atol = options.atol.value_or(tolerance.atol);
    check_tolerance(tolerance);
    auto solver = std::make_unique<Dopri5Solver>(config_, table_, tolerance);
    auto first = solver->first_timestep();
    const double sigma_max = solver->sigma_max();
    return Run(std::move(first), options.begin, std::sqrt(1 + sigma_max * sigma_max), std::move(solver));
  }

  const AdaptiveConfig config_;
  const SigmaTable table_;
};

}  // namespace

std::shared_ptr<const Scheduler> make_dopri5(const Json& json) {
  return std::make_shared<Dopri5Scheduler>(read_config<AdaptiveConfig>(kDopri5Name, json), json);
}

}  // namespace unnoise
