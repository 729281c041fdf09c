// Noise levels sigma = sqrt((1 - abar) / abar), the standard deviation of the noise on a picture of its own size
// (x / alpha), and the ways to space them. What k-diffusion's, DPM-Solver's and flow matching's schedulers share.
#pragma once

#include <string_view>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/schedulers/noise_schedule.h"

namespace unnoise {

/// At most one of them; none: the sigmas of the spaced timesteps.
struct SigmaGridOptions {
  bool use_karras_sigmas = false;
  bool use_exponential_sigmas = false;
  bool use_beta_sigmas = false;

  static constexpr auto fields() {
    using O = SigmaGridOptions;
    return std::tuple{
        field("use_karras_sigmas", &O::use_karras_sigmas, "equal steps in sigma^(1/7) (Karras et al. 2022, eq. 5)"),
        field("use_exponential_sigmas", &O::use_exponential_sigmas, "equal steps in log sigma"),
        field("use_beta_sigmas", &O::use_beta_sigmas,
              "quantiles of a beta distribution: more steps at both ends (Lee et al. 2024, \"Beta Sampling\")")};
  }
};

/// Which grid the options ask for; a class may have more of them. Error::usage when more than one is on:
///   one_grid("EulerDiscreteScheduler", {{"use_karras_sigmas", o.use_karras_sigmas}, ...})  gives the name or ""
struct GridSwitch {
  std::string_view name;
  bool on;
};
std::string_view one_grid(std::string_view class_name, const std::vector<GridSwitch>& switches);
std::string_view one_grid(std::string_view class_name, const SigmaGridOptions& options);

/// n >= 1 levels from sigma_max down to sigma_min, in double as diffusers' NumPy.
std::vector<double> karras_sigmas(double sigma_min, double sigma_max, int64_t n, double rho = 7);
std::vector<double> exponential_sigmas(double sigma_min, double sigma_max, int64_t n);
std::vector<double> beta_sigmas(double sigma_min, double sigma_max, int64_t n, double a = 0.6, double b = 0.6);

/// NumPy's linspace(first, last, n), in double.
std::vector<double> linspace(double first, double last, int64_t n);
/// NumPy's arange(start, stop, step) for a falling or rising step: as many values as ceil((stop - start) / step).
std::vector<double> arange(double start, double stop, double step);

/// The sigma of every training timestep, and the way back.
class SigmaTable {
 public:
  /// With rescale_betas_zero_snr the last abar counts as 2^-24 and not as 0, as in diffusers: sigma stays finite.
  explicit SigmaTable(const NoiseSchedule& noise);

  /// [T], float32 as diffusers computes them, rising.
  const std::vector<float>& sigmas() const { return sigmas_; }
  const std::vector<float>& log_sigmas() const { return log_sigmas_; }
  /// Linear between whole timesteps; beyond the table its ends: NumPy's interp.
  double sigma(double t) const;
  /// The timestep of a level, linear in log sigma, 0 to T-1.
  double timestep(double sigma) const;

 private:
  std::vector<float> sigmas_, log_sigmas_;
};

}  // namespace unnoise
