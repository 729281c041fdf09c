// Clip, optimizer and average in one pass over memory: the fast way to do what clip_grad_norm(), Optimizer::step() and
// Ema::step() do one after the other.
#pragma once

#include <optional>

#include "unnoise/training/ema.h"
#include "unnoise/training/optimizer.h"

namespace unnoise {

/// Returns the norm of the gradients before clipping; when that is not finite nothing has moved. `ema` may be null.
/// The gradients keep their values, unclipped. Without a value nothing was done, because the fast kernels are not
/// chosen or do not fit (SGD, not float32, not on the processor): take the three calls then.
std::optional<double> fused_update(Optimizer& optimizer, Ema* ema, double max_norm);

}  // namespace unnoise
