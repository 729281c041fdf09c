// Which training timesteps a run visits.
#pragma once

#include <array>
#include <tuple>
#include <utility>
#include <vector>

#include "unnoise/core/fields.h"

namespace unnoise {

/// Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed", table 2.
enum class TimestepSpacing {
  leading,   ///< multiples of T/N: starts below full noise
  linspace,  ///< both ends included
  trailing,  ///< ends at full noise: what few-step and zero-SNR models need
};

constexpr auto enum_names(TimestepSpacing) {
  using enum TimestepSpacing;
  return std::array{std::pair{leading, "leading"}, std::pair{linspace, "linspace"}, std::pair{trailing, "trailing"}};
}

/// The keys of a scheduler's config that decide its grid.
struct GridOptions {
  TimestepSpacing timestep_spacing = TimestepSpacing::leading;
  int64_t steps_offset = 0;

  static constexpr auto fields() {
    return std::tuple{
        field("timestep_spacing", &GridOptions::timestep_spacing, "how the steps lie among the training timesteps"),
        field("steps_offset", &GridOptions::steps_offset,
              "added to each timestep of the spacing \"leading\", 0 or more")};
  }
};

/// `steps` timesteps in [0, T), strictly falling, as diffusers' DDPM and DDIM space them. Where the offset would reach
/// past T - 1 (leading, steps = T), it is as large as fits. Throws Error::usage when steps < 1 or steps > T.
std::vector<int64_t> spaced_timesteps(const GridOptions& grid, int64_t steps, int64_t num_train_timesteps);

/// The user's list as whole numbers. Throws Error::usage unless it is not empty, in [0, T) and strictly falling.
std::vector<int64_t> whole_timesteps(const std::vector<double>& timesteps, int64_t num_train_timesteps);

}  // namespace unnoise
