// Convolution of any size and step as one matrix product, without copying the patches: each row of the left matrix is a
// list of places in the map, one a tap.
//
// Feature maps are channels-last, weights PyTorch's [K,C,k,k]. For what conv3x3.h does not take: 1x1 (the plain matrix
// product), step 2, maps of 3 channels.
#pragma once

#include <cstdint>

#include "unnoise/kernels/scalar.h"

namespace unnoise::kernels {

struct ConvShape {
  int64_t batch = 0, height = 0, width = 0;  ///< of the input
  int64_t in_channels = 0;                   ///< C
  int64_t out_channels = 0;                  ///< K
  int64_t kernel = 3;                        ///< k, at most 7
  int64_t stride = 1;
  int64_t padding = 0;  ///< zeros above and left; below and right as many as the output reaches
  int64_t out_height = 0, out_width = 0;
};

/// y [B,H',W',K] = x [B,H,W,C] * w + bias [K] (may be null).
void conv_direct(const ConvShape& shape, const float* x, const float* w, const float* bias, float* y);

/// The same with weights that were packed once, for sampling: conv_direct_packed_size(shape) floats, aligned to 64
/// bytes. The batch and the size of the map may differ from call to call.
int64_t conv_direct_packed_size(const ConvShape& shape);
void pack_conv_direct(const ConvShape& shape, const float* w, float* packed);
void conv_direct_packed(const ConvShape& shape, const float* x, const float* packed, const float* bias, float* y);

/// dx [B,H,W,C] from dy [B,H',W',K].
void conv_direct_input_gradient(const ConvShape& shape, const float* dy, const float* w, float* dx);

/// dw [K,C,k,k] from x and dy. The sum runs over pixels in one order, whatever the number of threads.
void conv_direct_weight_gradient(const ConvShape& shape, const float* x, const float* dy, float* dw);

/// The sum of dy [B,pixels,K] over the pixels of each image, [B,K]: the gradient of what was added to every pixel.
/// T: float or bf16.
template <class T>
void pixel_sums(int64_t batch, int64_t pixels, int64_t channels, const T* dy, float* sums);

}  // namespace unnoise::kernels
