// Convolutions and matrix products in bfloat16 that conv3x3.h does not take: 1x1, which is a product of the pixels'
// rows, and 3x3 of step 2. Products of pairs on vectors (gemm_bf16.h) or on the matrix units (conv_amx.h), sums in
// float32.
//
// Feature maps are channels-last, weights PyTorch's [K,C,k,k]. A linear layer is rows_shape().
#pragma once

#include <cstdint>

#include "unnoise/kernels/conv3x3.h"
#include "unnoise/kernels/conv_direct.h"

namespace unnoise::kernels {

/// x [rows,in] times weights [out,in], as a convolution.
inline ConvShape rows_shape(int64_t rows, int64_t in, int64_t out) {
  return {.batch = 1,
          .height = 1,
          .width = rows,
          .in_channels = in,
          .out_channels = out,
          .kernel = 1,
          .stride = 1,
          .padding = 0,
          .out_height = 1,
          .out_width = rows};
}

/// Whether this processor multiplies bfloat16, and conv_bf16 takes the shape: a kernel of at most 3, C and K multiples
/// of 16.
bool takes_conv_bf16(const ConvShape& shape);
/// Whether the gradients take it too: 1x1 of step 1.
bool takes_conv_bf16_gradients(const ConvShape& shape);

/// bf16 values of packed weights, for sampling: [panel][tap][in/2][kPanel][2], aligned to 64 bytes. The batch and the
/// size of the map may differ from call to call.
int64_t conv_bf16_packed_size(const ConvShape& shape);
void pack_conv_bf16(const ConvShape& shape, const float* w, bf16* packed);

/// y [B,H',W',K] = x [B,H,W,C] * w + addends. `packed` may be null, then w is packed first.
void conv_bf16(const ConvShape& shape, const bf16* x, const float* w, const bf16* packed,
               const ConvAddends<bf16>& addends, bf16* y);

/// dx [B,H,W,C] from dy [B,H,W,K].
void conv_bf16_input_gradient(const ConvShape& shape, const bf16* dy, const float* w, bf16* dx);
/// dw [K,C] from x and dy. The sum runs over pixels in one order, whatever the number of threads.
void conv_bf16_weight_gradient(const ConvShape& shape, const bf16* x, const bf16* dy, float* dw);

}  // namespace unnoise::kernels
