// The schedules that a command was asked about, as schedulers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "unnoise/recipes/schedule_source_options.h"
#include "unnoise/schedulers/scheduler.h"

namespace unnoise {

struct NamedSchedule {
  std::string name;  ///< as the user wrote it; a model's is its folder's
  std::shared_ptr<const Scheduler> scheduler;
};

/// One a name, in order; without names the model's. A beta schedule becomes a DDPMScheduler with it. Empty when the
/// source names nothing. Error::usage for an unknown name or setting, Error::data for a file that is no scheduler's.
std::vector<NamedSchedule> find_schedules(const ScheduleSource& source);

}  // namespace unnoise
