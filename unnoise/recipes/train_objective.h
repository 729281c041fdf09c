// From the objective's options to what the trainer works with, and to the scheduler that can sample what comes out.
#pragma once

#include <memory>

#include "unnoise/recipes/train_plan.h"
#include "unnoise/schedulers/scheduler.h"
#include "unnoise/training/noise_process.h"

namespace unnoise {

/// Sets the plan's scheduler, process, objective and draw, and how samples are drawn on the way. Needs plan.pretrained.
/// Error::usage for options that exclude each other, naming both.
void choose_objective(const TrainOptions& options, TrainPlan& plan);

/// The forward process that a model with this scheduler was trained on: a table of betas, EDM, or a flow. Error::usage
/// for a scheduler that no objective here belongs to.
std::shared_ptr<const NoiseProcess> process_of(const Scheduler& scheduler);

}  // namespace unnoise
