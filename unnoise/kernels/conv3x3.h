// The 3x3 convolution of step 1 with one pixel of zeros around: nine tenths of a U-Net's arithmetic.
//
// Feature maps are channels-last: x [B,H,W,C], y [B,H,W,K]; weights are PyTorch's [K,C,3,3]. Winograd's algorithm
// (Lavin and Gray 2016) takes 2.25 products an output and channel pair instead of 9. Its rounding errors are twice
// those of the direct sum (F(4,3): 1.6e-6 relative rms for unit variance, against 8e-7).
#pragma once

#include <cstdint>

#include "unnoise/kernels/scalar.h"

namespace unnoise::kernels {

struct Conv3x3Shape {
  int64_t batch = 0, height = 0, width = 0;
  int64_t in_channels = 0;   ///< C
  int64_t out_channels = 0;  ///< K
  /// The same numbers for an image whatever images are beside it. Otherwise a few tiles are summed in another order,
  /// which is up to twice as fast.
  bool batch_invariant = false;
};

/// Whether these functions take the shape: both channel counts are multiples of 16 and the map has more than one row
/// and column. Others are for conv_direct.h.
bool takes_conv3x3(const Conv3x3Shape& shape);

/// What is added to each output before it is written. All may be null. T: float or bf16, the type of the maps.
template <class T>
struct ConvAddends {
  const float* bias = nullptr;        ///< [K]
  const float* image_bias = nullptr;  ///< [B,K]: the same for all pixels of an image
  const T* residual = nullptr;        ///< [B,H,W,K]
};

/// y = x * w + addends. Maps of bf16 are multiplied as bf16 where the processor has such products (transforms and sums
/// are float32), else as float32.
template <class T>
void conv3x3(const Conv3x3Shape& shape, const T* x, const float* w, const ConvAddends<T>& addends, T* y);

/// The same for bf16 maps with weights that were packed once, for sampling: conv3x3_packed_size(shape) values in the
/// kernel's own order, aligned to 64 bytes; 0 where the kernel would gain nothing. The batch and the size of the map
/// may differ from call to call.
int64_t conv3x3_packed_size(const Conv3x3Shape& shape);
void pack_conv3x3(const Conv3x3Shape& shape, const float* w, bf16* packed);
void conv3x3_packed(const Conv3x3Shape& shape, const bf16* x, const bf16* packed, const ConvAddends<bf16>& addends,
                    bf16* y);

/// dx [B,H,W,C] from dy [B,H,W,K]: the convolution of dy with the weights turned by 180 degrees.
template <class T>
void conv3x3_input_gradient(const Conv3x3Shape& shape, const T* dy, const float* w, T* dx);

/// dw [K,C,3,3] from x and dy. The sum runs over tiles in one order, whatever the number of threads.
template <class T>
void conv3x3_weight_gradient(const Conv3x3Shape& shape, const T* x, const T* dy, float* dw);

}  // namespace unnoise::kernels
