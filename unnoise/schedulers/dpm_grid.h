// Where DPM-Solver and its kin step: timesteps, noise levels and lambda.
#pragma once

#include <string_view>
#include <vector>

#include "unnoise/schedulers/dpm_config.h"
#include "unnoise/schedulers/start_options.h"

namespace unnoise {

/// x = alpha x0 + sigma eps, lambda = log(alpha / sigma): float32 and rounded as diffusers' tensors. Pure picture:
/// sigma = 0, lambda = +inf.
struct DpmLevel {
  float alpha, sigma, lambda;
};

struct DpmGrid {
  std::vector<int64_t> timesteps;  ///< N
  std::vector<float> sigmas;       ///< N+1 of sigma / alpha (with flow sigmas: of sigma): falling, the last may be 0
  std::vector<DpmLevel> levels;    ///< N+1

  size_t steps() const { return timesteps.size(); }
};

/// In what the classes of diffusers differ.
struct DpmGridRules {
  /// Karras' and Lu's timesteps are rounded even for squaredcos_cap_v2 (else cut, as those of the other grids).
  bool rounds_cosine = true;
  /// "sigma_min" after a grid of sigmas: the table's first level (else the grid's last once more).
  bool ends_at_table = false;
  /// UniPC: the sigmas of a flow begin at 1, may be Karras', exponential or beta ones, and `mu` bends them.
  bool flow_of_unipc = false;
  /// From the picture to the noise: levels and timesteps rise; the last step leads to the noisiest level.
  bool inverse = false;
};

/// Throws Error::usage that names the key whose value cannot be.
void check_config(std::string_view class_name, const DpmConfig& config, const DpmGridRules& rules = {});

/// Throws Error::usage when the options cannot be met: more steps than training timesteps (unless a grid of sigmas is
/// on), own timesteps together with such a grid, own sigmas without flow sigmas, `mu` missing, ...
DpmGrid dpm_grid(std::string_view class_name, const DpmConfig& config, const NoiseSchedule& noise,
                 const StartOptions& options, const DpmGridRules& rules = {});

/// From sigma / alpha.
DpmLevel vp_level(float sigma);
/// From the sigma of x = (1 - sigma) x0 + sigma eps.
DpmLevel flow_level(float sigma);

/// The number of timesteps whose lambda is not below lambda_min_clipped. Error::usage when that is none.
int64_t unclipped_timesteps(std::string_view class_name, const DpmConfig& config, const NoiseSchedule& noise);

/// `steps` of the first `last` training timesteps, falling: of N+1 points the noisiest N, so that the path ends before
/// timestep 0; or, `cleanest`, the N that leave out the noisiest. Error::usage when steps < 1 or steps > last.
std::vector<int64_t> dpm_timesteps(const DpmConfig& config, int64_t steps, int64_t last, bool cleanest = false);

}  // namespace unnoise
