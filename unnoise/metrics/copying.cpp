#include "unnoise/metrics/copying.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

/// Mann & Whitney 1947: the standardised number of pairs in which a generated score is below an unseen one; half of the
/// pairs by chance. Ties count half.
double mann_whitney(const Tensor& generated, const Tensor& unseen) {
  const Tensor sorted = std::get<0>(unseen.sort(0));
  const auto m = static_cast<double>(unseen.numel()), n = static_cast<double>(generated.numel());
  const Tensor below = at::searchsorted(sorted, generated).to(at::kDouble);
  const Tensor not_above = at::searchsorted(sorted, generated, /*out_int32=*/false, /*right=*/true).to(at::kDouble);
  const double pairs = (m - (below + not_above) / 2).sum().item<double>();
  return (pairs - n * m / 2) / std::sqrt(n * m * (n + m + 1) / 12);
}

}  // namespace

Tensor copy_scores(const Tensor& distances) {
  if (distances.dim() != 2 || distances.size(1) < 2)
    throw usage_error("copying: expected the distances to at least 2 training pictures each");
  const Tensor all = distances.to(at::kDouble);
  const Tensor around = all.mean(1);
  return at::where(around > 0, all.select(1, 0) / around.clamp_min(1e-300), at::zeros_like(around));
}

CopyCheck check_copying(const Tensor& generated, const Tensor& unseen, double false_alarms) {
  const int64_t n = generated.numel(), m = unseen.numel();
  if (n < 1 || static_cast<double>(m) * false_alarms < 1)
    throw usage_error(
        fmt::format("copying: {} unseen pictures do not tell what {:.0f} % of them are like", m, 100 * false_alarms),
        fmt::format("Take at least {:.0f}.", std::ceil(1 / false_alarms)));
  CopyCheck check;
  check.scores = generated.to(at::kDouble);
  const Tensor sorted = std::get<0>(unseen.to(at::kDouble).sort(0));
  check.threshold = sorted[static_cast<int64_t>(static_cast<double>(m) * false_alarms) - 1].item<double>();
  const auto share_below = [&](const Tensor& scores) {
    return (scores <= check.threshold).to(at::kDouble).mean().item<double>();
  };
  check.flagged = share_below(check.scores);
  check.expected = share_below(sorted);  // more than false_alarms where scores are equal
  // Both shares are chance's: that of the generated pictures, and that of the unseen ones which set the threshold.
  const double variance = check.expected * (1 - check.expected);
  check.z = (check.flagged - check.expected) /
            std::sqrt(variance * (1 / static_cast<double>(n) + 1 / static_cast<double>(m)) + 1e-300);
  check.rank_z = mann_whitney(check.scores, sorted);
  return check;
}

}  // namespace unnoise
