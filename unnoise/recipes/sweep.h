// Try settings of a recipe against each other: a queue in a folder.
//
//   sweeps/NAME/sweep.json    the queue and how far it is
//   sweeps/NAME/runs/01 ...   run folders, as unnoise train writes them, with recipe.json, result.json and grid.png
//   sweeps/NAME/report.html   the comparison, after each time the queue ran
#pragma once

#include <stop_token>
#include <string>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/job.h"
#include "unnoise/recipes/recipe_library.h"
#include "unnoise/recipes/sweep_options.h"

namespace unnoise {

struct SweepResult {
  JobStatus status = JobStatus::done;
  std::string report;  ///< the ranked table, ready to print
};

/// Runs the queue, or goes on with the one in the folder. Hopeless runs are stopped by successive halving
/// (recipes/halving.h): at each rung every run alive trains to the same share of its steps, exactly as it would have
/// trained alone, and the better ones go on. A run whose loss is not finite has failed and the queue goes on.
/// Error::usage before anything is written for settings that make no run; when the folder holds another sweep; when the
/// budget ends before the first comparison.
SweepResult sweep(const std::string& recipe, const RecipeFolders& folders, const SweepOptions& options,
                  const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
