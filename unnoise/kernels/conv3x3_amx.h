// The 3x3 convolution of bfloat16 maps on the matrix units of newer Intel processors (AMX). They make sixteen times the
// products that a vector unit makes, so that the direct sum takes less time than Winograd's transforms alone.
//
// A map is copied to a grid with a column of zeros before each row and a row of zeros before each image. A tap of the
// kernel is then the same shift for all pixels, and any 16 pixels that follow each other are a tile's rows.
#pragma once

#include <cstdint>

#include "unnoise/kernels/conv3x3.h"
#include "unnoise/kernels/conv_weights.h"

namespace unnoise::kernels::amx {

/// Whether this processor has the units, the system grants them, and nobody has disabled them.
bool is_available();
/// For tests and comparisons.
void disable(bool disabled);

/// bf16 values of packed weights: [panel][tap][in/2][kPanel][2], panels and inputs filled up with zeros. 64-byte
/// aligned.
int64_t packed_size(int64_t in_channels, int64_t out_channels);
void pack(int64_t in_channels, int64_t out_channels, const ConvWeights& w, bf16* packed);

/// As conv3x3 with packed weights.
void convolve(const Conv3x3Shape& shape, const bf16* x, const bf16* packed, const ConvAddends<bf16>& addends, bf16* y);
/// As conv3x3_weight_gradient.
void weight_gradient(const Conv3x3Shape& shape, const bf16* x, const bf16* dy, float* dw);

}  // namespace unnoise::kernels::amx
