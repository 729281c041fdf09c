#include "unnoise/metrics/frechet_distance.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "unnoise/core/error.h"
#include "unnoise/metrics/samples.h"

namespace unnoise {
namespace {

/// Eigenvalues [D] of a positive semidefinite matrix, in ascending order, without those that rounding made of zeros:
/// the root of 1e-16 would be 1e-8.
Tensor without_rounding(const Tensor& eigenvalues) {
  const double largest = std::max(eigenvalues[-1].item<double>(), 0.0);
  const double noise = largest * std::numeric_limits<double>::epsilon() * static_cast<double>(eigenvalues.numel());
  return at::where(eigenvalues > noise, eigenvalues, at::zeros_like(eigenvalues));
}

}  // namespace

Moments moments(const Tensor& x) {
  const Tensor rows = samples_matrix(x, "Fréchet distance", 2);
  const Tensor mean = rows.mean(0);
  const Tensor centred = rows - mean;
  return {rows.size(0), mean, centred.t().matmul(centred) / static_cast<double>(rows.size(0) - 1)};
}

FrechetReference::FrechetReference(const Moments& reference) : reference_(reference) {
  const auto [eigenvalues, vectors] = at::linalg_eigh(reference_.covariance);
  root_ = (vectors * without_rounding(eigenvalues).sqrt()).matmul(vectors.t());
}

double FrechetReference::distance_to(const Moments& other) const {
  if (other.mean.numel() != reference_.mean.numel())
    throw usage_error(fmt::format("Fréchet distance: the sets differ in width: {} and {}", reference_.mean.numel(),
                                  other.mean.numel()));
  const Tensor product = root_.matmul(other.covariance).matmul(root_);
  const Tensor eigenvalues = without_rounding(at::linalg_eigvalsh((product + product.t()) / 2));
  const Tensor distance = (reference_.mean - other.mean).square().sum() + reference_.covariance.trace() +
                          other.covariance.trace() - 2 * eigenvalues.sqrt().sum();
  return std::max(distance.item<double>(), 0.0);
}

double frechet_distance(const Tensor& x, const Tensor& y) {
  return FrechetReference(moments(x)).distance_to(moments(y));
}

}  // namespace unnoise
