#include "unnoise/metrics/precision_recall.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <vector>

#include "unnoise/metrics/nearest.h"
#include "unnoise/metrics/samples.h"

namespace unnoise {
namespace {

constexpr int64_t kRowsAtOnce = 1024;

/// [N] squared distances to the k-th nearest other row of x [N,D].
Tensor squared_radii(const Tensor& x, int64_t k) {
  return nearest_neighbours(x, x, k, /*leave_out_own=*/true).distances.select(1, k - 1).square();
}

/// Which of queries [N,D] lie in a ball around one of points [M,D] with squared radii [M]: [N] of 0 and 1.
Tensor covered(const Tensor& queries, const Tensor& points, const Tensor& radii) {
  std::vector<Tensor> pieces;
  for (int64_t first = 0; first < queries.size(0); first += kRowsAtOnce) {
    const Tensor piece = queries.narrow(0, first, std::min(kRowsAtOnce, queries.size(0) - first));
    pieces.push_back((squared_distances(piece, points) <= radii).any(1).to(at::kDouble));
  }
  return at::cat(pieces);
}

}  // namespace

double PrecisionRecall::precision() const { return in_real.mean().item<double>(); }
double PrecisionRecall::recall() const { return in_generated.mean().item<double>(); }

PrecisionRecall precision_recall(const Tensor& real, const Tensor& generated, int64_t k) {
  const auto [x, y] = sample_pair(real, generated, "precision and recall", k + 1);
  return {.in_real = covered(y, x, squared_radii(x, k)), .in_generated = covered(x, y, squared_radii(y, k))};
}

}  // namespace unnoise
