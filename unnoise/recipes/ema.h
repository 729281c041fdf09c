// Averages after the training: which ones a run can give, one of them as a model, and which is best.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/ema_job_options.h"
#include "unnoise/recipes/job.h"

namespace unnoise {

struct EmaJobResult {
  JobStatus status = JobStatus::done;
  std::string report;              ///< text or JSON, ready to print
  std::vector<std::string> files;  ///< that were written
};

/// With neither a width nor --sweep: lists the snapshots. Else rebuilds (EDM2, appendix C), see training/power_ema.h.
/// Error::usage for options that do not fit each other, Error::data for a run without snapshots.
EmaJobResult rebuild_averages(const EmaJobOptions& options, const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
