#include "unnoise/metrics/nearest.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/topk.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr int64_t kPieceBytes = int64_t{64} << 20;

/// The exact distances of queries [n,D] to their candidates [n,k], sorted.
Neighbours refine(const Tensor& queries, const Tensor& points, const Tensor& candidates) {
  const int64_t n = candidates.size(0), k = candidates.size(1);
  std::vector<Tensor> columns;
  for (int64_t j = 0; j < k; ++j)
    columns.push_back(at::linalg_vector_norm(queries - points.index_select(0, candidates.select(1, j)), 2,
                                             at::IntArrayRef{1}, /*keepdim=*/true));
  const auto [distances, order] = at::cat(columns, 1).view({n, k}).sort(1);
  return {distances, candidates.gather(1, order)};
}

}  // namespace

Tensor squared_distances(const Tensor& x, const Tensor& y) {
  const Tensor xx = x.square().sum(1, /*keepdim=*/true);  // [n,1]
  const Tensor yy = y.square().sum(1).unsqueeze(0);       // [1,m]
  return (x.matmul(y.t()).mul_(-2) + xx).add_(yy).clamp_min_(0);
}

Neighbours nearest_neighbours(const Tensor& queries, const Tensor& points, int64_t k, bool leave_out_own) {
  const int64_t possible = points.size(0) - (leave_out_own ? 1 : 0);
  if (k < 1 || k > possible)
    throw usage_error(fmt::format("nearest neighbours: expected 1 to {}, asked for {}", possible, k));
  const int64_t bytes_a_row = points.size(0) * static_cast<int64_t>(queries.element_size());
  const int64_t rows = std::clamp<int64_t>(kPieceBytes / std::max<int64_t>(bytes_a_row, 1), 1, 4096);
  std::vector<Tensor> distances, indices;
  for (int64_t first = 0; first < queries.size(0); first += rows) {
    const Tensor piece = queries.narrow(0, first, std::min(rows, queries.size(0) - first));
    Tensor squared = squared_distances(piece, points);
    if (leave_out_own) {
      const Tensor own = at::arange(first, first + piece.size(0), at::kLong).unsqueeze(1);
      squared.scatter_(1, own, std::numeric_limits<double>::infinity());
    }
    const auto [unused, candidates] = at::topk(squared, k, 1, /*largest=*/false);
    Neighbours found = refine(piece, points, candidates);
    distances.push_back(std::move(found.distances));
    indices.push_back(std::move(found.indices));
  }
  return {at::cat(distances), at::cat(indices)};
}

}  // namespace unnoise
