// Group normalisation, on the kernel where there is one.
#pragma once

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// (x - mean) / sqrt(variance + eps) * weight + bias with the moments of each group of channels (Wu and He 2018, eq. 1
/// to 3), then x * sigmoid(x) with `silu`. x: [B,C,...]; weight and bias: [C], float32. The kernel takes [B,C,H,W] and
/// gives channels-last results; under autocast to bfloat16 it casts x. It keeps x and the moments for the way back.
Tensor group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups, double eps, bool silu);

}  // namespace unnoise
