// The README.md that a trained model carries: what it is, how it was made, how to use it.
#pragma once

#include <cstdint>

#include "unnoise/core/files.h"
#include "unnoise/recipes/train_options.h"
#include "unnoise/recipes/train_plan.h"

namespace unnoise {

/// Writes folder/README.md, unless a person has written one there.
void save_training_card(const fs::path& folder, const TrainOptions& options, const TrainPlan& plan, int64_t steps,
                        double loss);

}  // namespace unnoise
