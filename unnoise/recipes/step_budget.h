// How many training steps fit into a time, found by taking a few.
#pragma once

#include <cstdint>
#include <stop_token>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise {

/// Times a few steps of the run (in a folder below options.output_dir that is removed again) and returns how many fit
/// into `minutes`, at least 1. Error::usage when not even one does; 0 when stopped.
int64_t steps_in_budget(const TrainOptions& options, double minutes, const Observer& observer, std::stop_token stop);

}  // namespace unnoise
