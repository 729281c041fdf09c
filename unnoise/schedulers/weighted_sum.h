// The arithmetic of a sampler's step: what costs is the number of passes and of new tensors, not the additions.
#pragma once

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// (a x + b y) / divisor, element by element, each operation rounded as if done alone. x and y have one shape, any
/// float dtype and device; gradients flow. float32 on the CPU takes one pass.
Tensor weighted_sum(float a, const Tensor& x, float b, const Tensor& y, float divisor = 1);

}  // namespace unnoise
