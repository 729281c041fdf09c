// What the flag --scheduler-options says: keys of a scheduler_config.json.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/schedulers/scheduler.h"

namespace unnoise {

/// "solver_order=3" sets solver_order to 3; a value that is no JSON is text. Error::usage for a word without "=" and
/// for a key that the scheduler's class does not have.
Json scheduler_settings(const Scheduler& scheduler, const std::vector<std::string>& words);

/// Error::usage, beginning with `flag`, when the scheduler's class has no such key.
void check_scheduler_key(const Scheduler& scheduler, const std::string& key, std::string_view flag);

}  // namespace unnoise
