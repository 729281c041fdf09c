// Where the weights of a 3x3 convolution lie, for every algorithm.
#pragma once

#include <cstdint>

#include "unnoise/kernels/scalar.h"

namespace unnoise::kernels {

/// Weights as the sum sees them: tap (r, s) from input i to output o is data[o * out + i * in + (r, s)].
struct ConvWeights {
  const float* data;
  int64_t out, in;
  bool turned = false;           // by 180 degrees
  const bf16* packed = nullptr;  // instead, for products of bfloat16: in the order of the algorithm's own
};

}  // namespace unnoise::kernels
