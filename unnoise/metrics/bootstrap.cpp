#include "unnoise/metrics/bootstrap.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

constexpr double kNormal95 = 1.959964;

}  // namespace

double bootstrap_standard_error(int64_t count, const std::function<double(const Tensor&)>& statistic,
                                const BootstrapOptions& options) {
  if (count < 2 || options.replicates < 2) throw usage_error("bootstrap: expected at least 2 samples and 2 replicates");
  Rng rng(options.seed);
  std::vector<double> values;
  for (int64_t i = 0; i < options.replicates; ++i) values.push_back(statistic(rng.integers(count, count)));
  return at::tensor(values, at::kDouble).std().item<double>();
}

double mean_standard_error(const Tensor& values) {
  if (values.numel() < 2) return std::numeric_limits<double>::quiet_NaN();
  return values.to(at::kDouble).std().item<double>() / std::sqrt(static_cast<double>(values.numel()));
}

Estimate estimate(double value, double standard_error, double least, double most) {
  return {value, std::max(value - kNormal95 * standard_error, least),
          std::min(value + kNormal95 * standard_error, most)};
}

Estimate share_estimate(double share, int64_t count) {
  if (count < 1) throw usage_error("a share of no pictures");
  const auto n = static_cast<double>(count);
  const double z2 = kNormal95 * kNormal95;
  const double middle = (share + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kNormal95 * std::sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n);
  // At 0 and 1 one end is the share itself, which rounding must not pass.
  return {share, std::clamp(middle - half, 0.0, share), std::clamp(middle + half, share, 1.0)};
}

}  // namespace unnoise
