// Grids optimised for published models: Sabour, Fidler & Kreis 2024, "Align Your Steps".
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace unnoise {

/// "sd" (Stable Diffusion 1.5), "sdxl" or "svd" (video): the eleven sigmas of ten steps, the last 0, brought to `steps`
/// steps by interpolation of log sigma (the paper, section 5). Error::usage for another name and for less than one
/// step.
std::vector<double> ays_sigmas(std::string_view model, int64_t steps);

/// "sd" or "sdxl": the ten timesteps, falling. Error::usage for another name.
const std::vector<double>& ays_timesteps(std::string_view model);

}  // namespace unnoise
