// Examine a training run before it is started: is its learning rate right, can its network learn at all, which batch
// size pays, which noise levels are hard.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/core/observer.h"
#include "unnoise/recipes/doctor_options.h"
#include "unnoise/recipes/job.h"

namespace unnoise {

/// What one examination found.
struct Finding {
  DoctorCheck check;
  bool healthy = true;
  std::string found;   ///< a sentence with the numbers
  std::string advice;  ///< what to do about it, a sentence
  Json numbers = Json::object();
  std::string figure;  ///< file below the report folder, "" = none
};

struct DoctorResult {
  JobStatus status = JobStatus::done;
  std::vector<Finding> findings;
  std::string report;  ///< text or JSON, ready to print
};

/// Trains copies of the network for a few steps each and writes nothing but the report folder. The options of training
/// mean what they mean there; how long to train, and all that a run leaves behind, plays no part.
DoctorResult doctor(const DoctorOptions& options, const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
