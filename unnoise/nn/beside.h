// A number for each sample of a batch, shaped so that it multiplies that sample.
#pragma once

#include <algorithm>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// values [B] -> [B,1,...] with as many dimensions as x [B,...] has.
inline Tensor beside(const Tensor& values, const Tensor& x) {
  Shape shape(static_cast<size_t>(std::max<int64_t>(x.dim(), 1)), 1);
  shape[0] = -1;
  return values.reshape(shape);
}

}  // namespace unnoise
