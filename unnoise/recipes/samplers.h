// Which sampler is best for a model of one's own: all of them from the same noise, beside an exact reference.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/job.h"
#include "unnoise/recipes/samplers_options.h"

namespace unnoise {

struct SamplersResult {
  JobStatus status = JobStatus::done;
  std::string report;              ///< table, Markdown or JSON, ready to print
  std::vector<std::string> files;  ///< written, in this order
};

/// Without a model: the list of samplers. With one: the comparison, or with fit_schedule the fitted timesteps.
SamplersResult samplers_report(const SamplersOptions& options, const Observer& observer = {},
                               std::stop_token stop = {});

}  // namespace unnoise
