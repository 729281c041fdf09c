// Convolutions of step 1 and matrix products in bfloat16 on the matrix units of newer Intel processors (AMX). They make
// sixteen times the products that a vector unit makes, so that the direct sum takes less time than Winograd's
// transforms alone.
//
// For a 3x3 kernel a map is copied to a grid with a column of zeros before each row and a row of zeros before each
// image. A tap of the kernel is then the same shift for all pixels, and any 16 pixels that follow each other are a
// tile's rows.
#pragma once

#include <cstdint>

#include "unnoise/kernels/conv3x3.h"
#include "unnoise/kernels/conv_weights.h"

namespace unnoise::kernels::amx {

/// Whether this processor has the units, the system grants them, and nobody has disabled them.
bool is_available();
/// For tests and comparisons.
void disable(bool disabled);

/// x [batch,height,width,in_channels], y likewise; weights [K,C,kernel,kernel]. Both numbers of channels are multiples
/// of 16. A matrix product, x [rows,in] by weights [out,in], is a kernel of 1 with height 1.
struct Shape {
  int64_t batch, height, width, in_channels, out_channels;
  int64_t kernel = 3;  ///< 1, or 3 with a pixel of zeros around
};

inline bool takes(const Shape& s) {
  return is_available() && s.in_channels % 16 == 0 && s.out_channels % 16 == 0 && (s.kernel == 1 || s.kernel == 3);
}

/// bf16 values of packed weights: [panel][tap][in/2][kPanel][2], panels and inputs filled up with zeros. 64-byte
/// aligned.
int64_t packed_size(const Shape& shape);
void pack(const Shape& shape, const ConvWeights& w, bf16* packed);

/// y = x * w + addends; packs the weights where they are not.
void convolve(const Shape& shape, const bf16* x, const ConvWeights& w, const ConvAddends<bf16>& addends, bf16* y);
/// dw [K,C,kernel,kernel].
void weight_gradient(const Shape& shape, const bf16* x, const bf16* dy, float* dw);

}  // namespace unnoise::kernels::amx
