// Draw pictures with a trained model and write them.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/job.h"
#include "unnoise/recipes/sample_options.h"

namespace unnoise {

struct SampleResult {
  JobStatus status = JobStatus::done;
  std::vector<std::string> files;  ///< everything that was written, in order
  double seconds = 0;              ///< of denoising
  int64_t model_calls = 0;
};

SampleResult sample(const SampleOptions& options, const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
