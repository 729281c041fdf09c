// A noise schedule as numbers: over the training timesteps, or over the calls of the network in a run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "unnoise/recipes/schedule_options.h"
#include "unnoise/recipes/schedule_source.h"

namespace unnoise {

/// A point on the way from picture to noise: x_t = alpha x0 + noise eps. NaN where a method does not say.
struct SchedulePoint {
  double timestep;  ///< what the network is told
  double beta;      ///< of this training timestep; NaN in a run
  double alpha;     ///< sqrt(abar); a method that lets the variance grow (EDM) is scaled back to alpha^2 + noise^2 = 1
  double noise;     ///< sqrt(1 - abar)
  double sigma;     ///< as the scheduler counts: noise / alpha, or, in flow matching, noise

  double value(ScheduleCurve curve) const;
};

struct ScheduleTable {
  std::string name;
  std::string class_name;
  int64_t num_train_timesteps = 0;
  std::string path;                   ///< x_t in the method's own terms; "" where it is not known
  std::vector<SchedulePoint> points;  ///< training: one a timestep, rising; a run: one a call of the network, in order
  std::optional<int64_t> steps;       ///< of a run
  std::optional<double> final_sigma;  ///< where a run leads
  bool adaptive = false;              ///< the run finds all but its first call on the way

  std::vector<double> values(ScheduleCurve curve) const;
  std::vector<double> timesteps() const;
};

/// Error::usage when the scheduler has no table of betas.
ScheduleTable training_table(const NamedSchedule& schedule);
ScheduleTable run_table(const NamedSchedule& schedule, const StartOptions& start);

/// What the timestep of a step says, as a number.
double timestep_number(const Step& step);

}  // namespace unnoise
