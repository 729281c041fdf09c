// Train a diffusion model on pictures: the whole job of diffusers' train_unconditional.py.
#pragma once

#include <stop_token>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/job.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise {

/// Trains until the epochs (or --max-train-steps) are done or `stop` is requested; then a checkpoint is saved and the
/// status is `interrupted`. Everything is written below options.output_dir; see docs/run-folder.md. Throws Error before
/// anything is written when the options or the data cannot work; a loss that is not finite stops the run with an
/// Error::data and leaves the last checkpoint as it is.
JobStatus train(const TrainOptions& options, const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
