// How fast training and sampling are on the user's own machine, with the networks of the course and random weights.
#pragma once

#include <stop_token>
#include <string>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/bench_options.h"
#include "unnoise/recipes/job.h"

namespace unnoise {

struct BenchResult {
  JobStatus status = JobStatus::done;
  std::string report;  ///< table or JSON, ready to print; of what was timed before a stop
};

/// Throws Error::usage for an unknown network or a number out of range.
BenchResult bench(const BenchOptions& options, const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
