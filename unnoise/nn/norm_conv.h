// The half of a residual block that costs memory: normalise, SiLU, convolve.
#pragma once

#include "unnoise/nn/layers.h"

namespace unnoise {

/// conv(silu(norm(x)), sums). In training, on the kernels, the normalised map is not kept for the way back but computed
/// again from x, which is there anyway: half the activations of a residual block for one more pass over each.
Tensor norm_silu_conv(const Remade& x, const GroupNorm& norm, const Conv2d& conv, const ConvSums& sums = {});

}  // namespace unnoise
