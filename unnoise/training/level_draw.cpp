#include "unnoise/training/level_draw.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/erfinv.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "unnoise/core/error.h"

namespace unnoise {

Tensor draw_uniform(const LevelDraw& how, int64_t batch, Rng& rng) {
  constexpr double kEdge = 1e-5;  // a flow's s = 0 and a normal's quantile at 0 or 1 are not finite
  if (!how.low_discrepancy) return rng.uniform({batch}).clamp_(kEdge, 1 - kEdge);
  const Tensor steps = at::arange(batch, at::kFloat) / static_cast<double>(batch);
  return (rng.uniform({1}) + steps).fmod_(1.0).clamp_(kEdge, 1 - kEdge);
}

Tensor draw_normal(const LevelDraw& how, double mean, double std, int64_t batch, Rng& rng) {
  if (!(std > 0) || !std::isfinite(std) || !std::isfinite(mean))
    throw usage_error(
        fmt::format("logit_mean, logit_std: expected a number and one above 0, found {} and {}", mean, std));
  const Tensor n = how.low_discrepancy ? at::erfinv(2 * draw_uniform(how, batch, rng) - 1) * std::numbers::sqrt2
                                       : rng.normal({batch});
  return mean + std * n;
}

}  // namespace unnoise
