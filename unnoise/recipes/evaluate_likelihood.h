// The part of `unnoise evaluate` behind --bits-per-dim.
#pragma once

#include "unnoise/data/dataset.h"
#include "unnoise/models/unet2d_options.h"
#include "unnoise/recipes/evaluate.h"

namespace unnoise {

EvaluateResult evaluate_likelihood(const EvaluateOptions& options, const Observer& observer,
                                   const std::stop_token& stop);

/// --data with its configuration and --split, which is `usual_split` where it is not given.
DatasetOptions evaluated_set(const EvaluateOptions& options, const std::string& usual_split);
/// --resolution, or the network's size. Error::usage when there is neither, or it is not square.
int64_t evaluate_resolution(const EvaluateOptions& options, const UNet2DOptions& unet);

}  // namespace unnoise
