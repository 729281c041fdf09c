// Trains the network whose features pictures are compared by.
#pragma once

#include <stop_token>
#include <string>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/classifier_options.h"
#include "unnoise/recipes/job.h"

namespace unnoise {

struct ClassifierResult {
  JobStatus status = JobStatus::done;
  double test_accuracy = 0;  ///< share of the test pictures that the saved weights name rightly
  std::string report;        ///< text or JSON, ready to print
};

/// Writes `options.output` at the end; when stopped, nothing is written.
ClassifierResult train_classifier(const ClassifierJobOptions& options, const Observer& observer = {},
                                  std::stop_token stop = {});

}  // namespace unnoise
