#include "unnoise/metrics/frechet_infinity.h"

#include <algorithm>

#include "unnoise/metrics/samples.h"
#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

struct Line {
  double intercept;
  double slope;
};

/// Least squares of y over x.
Line fit_line(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  double mean_x = 0, mean_y = 0, xx = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) mean_x += x[i] / n, mean_y += y[i] / n;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  const double slope = xy / xx;
  return {mean_y - slope * mean_x, slope};
}

}  // namespace

int64_t frechet_infinity_needs(int64_t width) { return 4 * std::max<int64_t>(width, 2); }

std::optional<FrechetInfinity> frechet_infinity(const FrechetReference& reference, const Tensor& generated,
                                                const FrechetInfinityOptions& options) {
  const Tensor rows = samples_matrix(generated, "Fréchet distance", 2);
  const int64_t count = rows.size(0), width = rows.size(1);
  if (count < frechet_infinity_needs(width)) return std::nullopt;
  const int64_t smallest = std::max(count / 10, 2 * width);
  Rng rng(options.seed);
  FrechetInfinity result;
  std::vector<double> inverse;
  for (int64_t i = 0; i < options.points; ++i) {
    const int64_t n = smallest + (count - smallest) * i / (options.points - 1);
    const Tensor chosen = rng.permutation(count).narrow(0, 0, n);
    result.sizes.push_back(n);
    result.distances.push_back(reference.distance_to(moments(rows.index_select(0, chosen))));
    inverse.push_back(1.0 / static_cast<double>(n));
  }
  const Line line = fit_line(inverse, result.distances);
  result.value = line.intercept;
  result.slope = line.slope;
  return result;
}

}  // namespace unnoise
