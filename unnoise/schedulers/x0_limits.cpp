#include "unnoise/schedulers/x0_limits.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/quantile.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include "unnoise/core/error.h"

namespace unnoise {

void check_limits(const ClipOptions& clip, const ThresholdOptions& threshold) {
  if (!(clip.clip_sample_range > 0))
    throw usage_error(fmt::format("clip_sample_range: expected above 0, found {}", clip.clip_sample_range));
  if (!(threshold.dynamic_thresholding_ratio >= 0 && threshold.dynamic_thresholding_ratio <= 1))
    throw usage_error(
        fmt::format("dynamic_thresholding_ratio: expected 0 to 1, found {}", threshold.dynamic_thresholding_ratio));
  if (!(threshold.sample_max_value > 0))
    throw usage_error(fmt::format("sample_max_value: expected above 0, found {}", threshold.sample_max_value));
}

Tensor dynamic_threshold(const Tensor& x0, const ThresholdOptions& options) {
  const bool wide = x0.scalar_type() == at::kFloat || x0.scalar_type() == at::kDouble;
  const Tensor flat = (wide ? x0 : x0.to(at::kFloat)).reshape({x0.size(0), -1});
  std::vector<Tensor> quantiles;  // picture by picture: LibTorch's quantile takes 16 million elements at most
  for (const Tensor& picture : flat.unbind(0))
    quantiles.push_back(at::quantile(picture.abs(), options.dynamic_thresholding_ratio));
  const Tensor s = at::clamp(at::stack(quantiles), 1, options.sample_max_value).unsqueeze(1);  // [B,1]
  return (at::clamp(flat, -s, s) / s).reshape(x0.sizes()).to(x0.scalar_type());
}

Tensor limit_x0(const Tensor& x0, const ClipOptions& clip, const ThresholdOptions& threshold) {
  if (threshold.thresholding) return dynamic_threshold(x0, threshold);
  if (clip.clip_sample) return at::clamp(x0, -clip.clip_sample_range, clip.clip_sample_range);
  return x0;
}

}  // namespace unnoise
