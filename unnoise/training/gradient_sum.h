// The gradients of all processes added up, before they are clipped.
#pragma once

#include <vector>

#include "unnoise/nn/process_group.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Each parameter's gradient becomes the sum of all processes' ones; where a process has none it counts as zero, and a
/// parameter that has none anywhere keeps none. Losses weighted by the share of the pictures (MicroBatch::weight) make
/// the sum the gradient of the mean over all pictures. Travels in pieces, so that little memory is needed.
void sum_gradients(ProcessGroup& group, const std::vector<Tensor>& parameters);

}  // namespace unnoise
