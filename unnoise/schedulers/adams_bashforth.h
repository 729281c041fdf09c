// The slope of a linear multistep method: a weighted mean of the last network outputs.
#pragma once

#include <array>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Adams-Bashforth for equal steps, of order 1 while nothing is stored, then 2, 3 and 4; Liu et al. 2022, "Pseudo
/// Numerical Methods for Diffusion Models on Manifolds", eq. 9 and appendix A.3.
class AdamsBashforth {
 public:
  void add(const Tensor& slope);
  size_t size() const { return size_; }
  const Tensor& newest() const { return slopes_[0]; }
  /// At least one slope must have been added.
  Tensor combined() const;

 private:
  std::array<Tensor, 4> slopes_;  // the newest first
  size_t size_ = 0;
};

}  // namespace unnoise
