// How torch draws the first weights of a layer.
#pragma once

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// U(-1/sqrt(fan_in), 1/sqrt(fan_in)), to the bit what torch.nn.Linear and the convolutions draw.
void draw_weight(Tensor& weight, int64_t fan_in, Rng& rng);
void draw_bias(Tensor& bias, int64_t fan_in, Rng& rng);

}  // namespace unnoise
