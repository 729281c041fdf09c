// The README.md that a trained model carries: what it is, how it was made, how to use it.
#pragma once

#include "unnoise/core/files.h"
#include "unnoise/recipes/train_options.h"
#include "unnoise/recipes/train_plan.h"

namespace unnoise {

/// Writes folder/run.json (what the rest of the folder does not tell) and folder/README.md, unless a person has written
/// or changed one there. The model, options.json and the log are there already.
void save_training_card(const fs::path& folder, const TrainOptions& options, const TrainPlan& plan);

/// README.md anew, with what has come into the folder since: samples, a measurement.
void renew_training_card(const fs::path& folder, const TrainOptions& options);

}  // namespace unnoise
