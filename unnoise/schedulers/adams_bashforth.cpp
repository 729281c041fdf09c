#include "unnoise/schedulers/adams_bashforth.h"

#include <ATen/TensorOperators.h>

#include <algorithm>

namespace unnoise {
namespace {

constexpr double kWeights[4][4] = {
    {1}, {3. / 2, -1. / 2}, {23. / 12, -16. / 12, 5. / 12}, {55. / 24, -59. / 24, 37. / 24, -9. / 24}};

}  // namespace

void AdamsBashforth::add(const Tensor& slope) {
  std::rotate(slopes_.begin(), slopes_.end() - 1, slopes_.end());
  slopes_[0] = slope;
  size_ = std::min<size_t>(size_ + 1, slopes_.size());
}

Tensor AdamsBashforth::combined() const {
  if (size_ == 1) return slopes_[0];
  const auto& weights = kWeights[size_ - 1];
  Tensor out = slopes_[0] * weights[0];
  for (size_t i = 1; i < size_; ++i) out.add_(slopes_[i], weights[i]);
  return out;
}

}  // namespace unnoise
