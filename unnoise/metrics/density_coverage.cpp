#include "unnoise/metrics/density_coverage.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <vector>

#include "unnoise/metrics/nearest.h"
#include "unnoise/metrics/samples.h"

namespace unnoise {
namespace {

constexpr int64_t kGeneratedAtOnce = 1024;

}  // namespace

double DensityCoverage::density() const { return balls.mean().item<double>(); }
double DensityCoverage::coverage() const { return reached.mean().item<double>(); }

DensityCoverage density_coverage(const Tensor& real, const Tensor& generated, int64_t k) {
  const Tensor x = samples_matrix(real, "density and coverage", k + 1);
  const Tensor y = sample_pair(generated, x, "density and coverage").x;
  const Tensor radii = nearest_neighbours(x, x, k, /*leave_out_own=*/true).distances.select(1, k - 1).square();
  std::vector<Tensor> balls;
  Tensor reached = at::zeros({x.size(0)}, at::kDouble);
  for (int64_t first = 0; first < y.size(0); first += kGeneratedAtOnce) {
    const Tensor piece = y.narrow(0, first, std::min(kGeneratedAtOnce, y.size(0) - first));
    const Tensor inside = (squared_distances(piece, x) <= radii).to(at::kDouble);  // [m,N]
    balls.push_back(inside.sum(1) / static_cast<double>(k));
    reached = at::maximum(reached, inside.amax(0));
  }
  return {at::cat(balls), reached};
}

}  // namespace unnoise
