// Timesteps fitted to a model: which N of its training timesteps a sampler should visit.
//
// The exact path of some pictures is walked once in many small steps. From it the error of a jump between any two of
// its points is known without calling the network again, and the N jumps with the least sum are found exactly, by
// dynamic programming: Chen et al. 2024, "On the Trajectory Regularity of ODE-based Diffusion Sampling", section 4; the
// aim is that of Sabour et al. 2024, "Align Your Steps".
#pragma once

#include "unnoise/recipes/sampler_comparison.h"

namespace unnoise {

struct FittedSchedule {
  std::vector<int64_t> timesteps;  ///< falling
  double distance = 0;             ///< from the reference, in grey levels, on noise that the fit did not see
  double usual_distance = 0;       ///< the same with the sampler's own timesteps
};

/// For `scheduler`, which must take custom timesteps, in `steps` steps. Deterministic for one trial.
FittedSchedule fit_schedule(const Trial& trial, const std::shared_ptr<const Scheduler>& scheduler, int64_t steps,
                            int64_t reference_steps, const Observer& observer, const std::stop_token& stop);

/// The path of least cost with exactly `jumps` jumps from point 0 to point n - 1; cost[i][j] for i < j.
/// Points visited, the last left out. Needs 1 <= jumps <= n - 1.
std::vector<int64_t> cheapest_path(const std::vector<std::vector<double>>& cost, int64_t jumps);

}  // namespace unnoise
