// Keeping the predicted clean picture within the range of pictures: clipping and dynamic thresholding.
#pragma once

#include <tuple>

#include "unnoise/core/fields.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

struct ClipOptions {
  bool clip_sample = true;
  double clip_sample_range = 1.0;

  static constexpr auto fields() {
    return std::tuple{
        field("clip_sample", &ClipOptions::clip_sample, "clip the predicted x0 (for pixels, not for latents)"),
        field("clip_sample_range", &ClipOptions::clip_sample_range, "clip to plus and minus this, above 0")};
  }
};

struct ThresholdOptions {
  bool thresholding = false;
  double dynamic_thresholding_ratio = 0.995;
  double sample_max_value = 1.0;

  static constexpr auto fields() {
    return std::tuple{
        field("thresholding", &ThresholdOptions::thresholding,
              "dynamic thresholding of the predicted x0, instead of clipping"),
        field("dynamic_thresholding_ratio", &ThresholdOptions::dynamic_thresholding_ratio,
              "quantile of |x0| that becomes the limit, 0 to 1"),
        field("sample_max_value", &ThresholdOptions::sample_max_value, "the limit is at most this, above 0")};
  }
};

/// Throws Error::usage that names the key whose value is out of range.
void check_limits(const ClipOptions& clip, const ThresholdOptions& threshold);

/// Saharia et al. 2022, "Imagen", section 2.3: s = quantile(|x0|) of each picture, at least 1; clip to [-s, s] and
/// divide by s. x0 is [B,C,H,W]; halves are computed in float32.
Tensor dynamic_threshold(const Tensor& x0, const ThresholdOptions& options);

/// Thresholding if it is on, else clipping if that is on, else x0.
Tensor limit_x0(const Tensor& x0, const ClipOptions& clip, const ThresholdOptions& threshold);

}  // namespace unnoise
