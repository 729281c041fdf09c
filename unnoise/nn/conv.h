// Convolution as the layers call it: LibTorch's, or the kernels' with what follows it added on the way out.
#pragma once

#include "unnoise/nn/pack_cache.h"
#include "unnoise/nn/remade.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

struct ConvGeometry {
  int64_t stride = 1;
  int64_t padding = 0;      ///< zeros above and left
  int64_t end_padding = 0;  ///< zeros below and right
};

/// Added to every output. Both may be undefined.
struct ConvSums {
  Tensor image_bias;  ///< [B,K]: one value for all pixels of an image
  Tensor residual;    ///< [B,K,H',W']
};

/// x [B,C,H,W], weight [K,C,k,k], bias [K] -> [B,K,H',W']; differentiable once by everything. Without autograd the
/// kernel keeps its own copy of the weights in `cache`.
Tensor conv2d(const Remade& x, const Tensor& weight, const Tensor& bias, const ConvGeometry& geometry,
              const ConvSums& sums = {}, PackCache* cache = nullptr);

/// x [...,in], weight [out,in], bias [out] or undefined -> [...,out]; differentiable once, with a cache likewise.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, PackCache* cache = nullptr,
              const Tensor& residual = {});

}  // namespace unnoise
