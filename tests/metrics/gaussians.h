// Samples with known moments, for closed forms.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "unnoise/nn/rng.h"

namespace unnoise {

/// [n,D] float64 from N(mean, deviation^2), a mean and a deviation a column.
inline Tensor gaussian(int64_t n, const std::vector<double>& mean, const std::vector<double>& deviation,
                       uint64_t seed) {
  const Tensor noise = Rng(seed).normal({n, static_cast<int64_t>(mean.size())}).to(at::kDouble);
  return noise * at::tensor(deviation, at::kDouble) + at::tensor(mean, at::kDouble);
}

/// [n,width] standard normal.
inline Tensor standard(int64_t n, int64_t width, uint64_t seed) { return Rng(seed).normal({n, width}).to(at::kDouble); }

/// [n,D] whose sample mean and covariance are exactly the given ones (diagonal), up to rounding.
inline Tensor with_exact_moments(int64_t n, const std::vector<double>& mean, const std::vector<double>& deviation,
                                 uint64_t seed) {
  const Tensor noise = standard(n, static_cast<int64_t>(mean.size()), seed);
  const Tensor centred = noise - noise.mean(0);
  const Tensor white = std::get<0>(at::linalg_qr(centred)) * std::sqrt(static_cast<double>(n - 1));
  return white * at::tensor(deviation, at::kDouble) + at::tensor(mean, at::kDouble);
}

}  // namespace unnoise
