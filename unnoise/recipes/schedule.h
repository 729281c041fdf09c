// Look at noise schedules: how much noise there is at each training timestep, or at each call of the network in a run,
// as a table, as JSON and as curves.
#pragma once

#include <string>
#include <vector>

#include "unnoise/recipes/schedule_options.h"

namespace unnoise {

struct ScheduleReport {
  std::string text;                ///< the table, or JSON, ready to print
  std::vector<std::string> files;  ///< what was written
};

/// Error::usage for a name, setting or curve that does not exist, Error::data for a file that is no scheduler's.
ScheduleReport show_schedules(const ScheduleOptions& options);

}  // namespace unnoise
