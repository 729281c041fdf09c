#include "unnoise/metrics/mmd.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/triu_indices.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/metrics/nearest.h"
#include "unnoise/metrics/samples.h"
#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

double off_diagonal_sum(const Tensor& k) { return (k.sum() - k.trace()).item<double>(); }

}  // namespace

Tensor polynomial_kernel(const Tensor& x, const Tensor& y) {
  return (x.matmul(y.t()) / static_cast<double>(x.size(1)) + 1).pow(3);
}

Kernel rbf_kernel(double bandwidth) {
  return [scale = -1 / (2 * bandwidth * bandwidth)](const Tensor& x, const Tensor& y) {
    return (squared_distances(x, y) * scale).exp();
  };
}

double median_distance(const Tensor& x, const Tensor& y, int64_t most, uint64_t seed) {
  const auto pair = sample_pair(x, y, "MMD");
  Rng rng(seed);
  const auto some = [&](const Tensor& set) {
    return set.index_select(0, rng.permutation(set.size(0)).narrow(0, 0, std::min(most, set.size(0))));
  };
  const Tensor all = at::cat({some(pair.x), some(pair.y)});
  if (all.size(0) < 2) throw usage_error("MMD: expected at least 2 pictures");
  const Tensor pairs = at::triu_indices(all.size(0), all.size(0), 1);
  const Tensor distances = squared_distances(all, all).index({pairs[0], pairs[1]});
  const double median = std::sqrt(distances.median().item<double>());
  return median > 0 ? median : 1.0;
}

double unbiased_mmd2(const Tensor& x, const Tensor& y, const Kernel& kernel) {
  const auto pair = sample_pair(x, y, "MMD", 2);
  const auto n = static_cast<double>(pair.x.size(0));
  if (pair.x.size(0) != pair.y.size(0))
    throw usage_error(fmt::format("MMD: expected as many samples of each set, found {} and {}", x.size(0), y.size(0)));
  return (off_diagonal_sum(kernel(pair.x, pair.x)) + off_diagonal_sum(kernel(pair.y, pair.y)) -
          2 * off_diagonal_sum(kernel(pair.x, pair.y))) /
         (n * (n - 1));
}

SubsetMmd subset_mmd2(const Tensor& x, const Tensor& y, const Kernel& kernel, const SubsetOptions& options) {
  const auto pair = sample_pair(x, y, "MMD", 4);
  const int64_t smaller = std::min(pair.x.size(0), pair.y.size(0));
  const int64_t size = std::min(options.size, smaller / 2);
  if (options.count < 2 || size < 2)
    throw usage_error(fmt::format("MMD: expected at least 2 subsets of at least 2 samples, found {} of {}",
                                  options.count, options.size));
  Rng rng(options.seed);
  std::vector<double> values;
  for (int64_t i = 0; i < options.count; ++i) {
    const Tensor of_x = rng.permutation(pair.x.size(0)).narrow(0, 0, size);
    // The pairing of xi with yi is free: with the same places in sets of one size, a set against itself gives 0.
    const Tensor of_y = pair.x.size(0) == pair.y.size(0) ? of_x : rng.permutation(pair.y.size(0)).narrow(0, 0, size);
    values.push_back(unbiased_mmd2(pair.x.index_select(0, of_x), pair.y.index_select(0, of_y), kernel));
  }
  const Tensor all = at::tensor(values, at::kDouble);
  SubsetMmd result{.value = all.mean().item<double>(),
                   .deviation = all.std().item<double>(),
                   .standard_error = 0,
                   .subsets = options.count,
                   .subset_size = size};
  result.standard_error = result.deviation * std::sqrt(static_cast<double>(size) / static_cast<double>(smaller - size));
  return result;
}

}  // namespace unnoise
