#include "unnoise/metrics/sliced_wasserstein.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/metrics/samples.h"
#include "unnoise/nn/rng.h"

namespace unnoise {

Slices slice(const Tensor& x, const Tensor& y, const SlicedWassersteinOptions& options) {
  if (options.directions < 1) throw usage_error("sliced Wasserstein: expected at least 1 direction");
  const auto pair = sample_pair(x, y, "sliced Wasserstein");
  Rng rng(options.seed);
  Tensor directions = rng.normal({options.directions, pair.x.size(1)}).to(at::kDouble);
  directions = directions / at::linalg_vector_norm(directions, 2, at::IntArrayRef{1}, /*keepdim=*/true);
  const int64_t n = std::min(pair.x.size(0), pair.y.size(0));
  const auto project = [&](const Tensor& set) {
    const Tensor rows = set.size(0) == n ? set : set.index_select(0, rng.permutation(set.size(0)).narrow(0, 0, n));
    return directions.matmul(rows.t()).contiguous();
  };
  Slices slices;
  slices.x = project(pair.x);
  slices.y = project(pair.y);
  return slices;
}

double sliced_wasserstein(const Slices& slices) {
  const Tensor x = std::get<0>(slices.x.sort(1)), y = std::get<0>(slices.y.sort(1));
  return std::sqrt((x - y).square().mean().item<double>());
}

double sliced_wasserstein(const Tensor& x, const Tensor& y, const SlicedWassersteinOptions& options) {
  return sliced_wasserstein(slice(x, y, options));
}

}  // namespace unnoise
