// Karras et al. 2022, algorithm 2, lines 4 and 5: fresh noise that lifts the picture from sigma to sigma_hat before a
// step.
#pragma once

#include "unnoise/schedulers/start_options.h"

namespace unnoise {

struct Churn {
  double churn;     ///< over all steps
  double min, max;  ///< only at these sigmas
  double noise;     ///< standard deviation of the noise, about 1

  /// Throws Error::usage that names the option whose value cannot be.
  explicit Churn(const StartOptions& options);

  float sigma_hat(float sigma, int64_t steps) const;
};

/// Throws Error::usage unless s_noise is a finite number.
void check_s_noise(double s_noise);

}  // namespace unnoise
