// Watch a picture drown in noise: the forward process (Ho et al. 2020, eq. 4) at chosen timesteps as one strip, and
// what a network still sees in each.
#pragma once

#include <string>

#include "unnoise/recipes/noise_options.h"

namespace unnoise {

/// Writes the strip and says, as text or JSON, what its panels show. Error::usage for timesteps, schedules and sizes
/// that do not fit, Error::data for a file that is no picture or no model.
std::string draw_noise_strip(const NoiseStripOptions& options);

}  // namespace unnoise
