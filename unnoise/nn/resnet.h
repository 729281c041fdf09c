// The residual block of the UNets (Ho et al. 2020, appendix B; He et al. 2016), told the time.
#pragma once

#include <optional>

#include "unnoise/nn/activation.h"
#include "unnoise/nn/layers.h"
#include "unnoise/nn/resample.h"
#include "unnoise/nn/time_plan.h"

namespace unnoise {

/// How the time embedding enters a residual block.
enum class TimeInjection {
  add,          ///< one shift a channel, before the second norm
  scale_shift,  ///< a scale and a shift a channel, after the second norm (Dhariwal and Nichol 2021, section 3)
};

struct ResnetOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t temb_channels = 512;  ///< 0: the block is not told the time
  int64_t groups = 32;
  int64_t groups_out = 0;  ///< of the second norm; 0 = groups
  double eps = 1e-6;
  double dropout = 0;
  Activation activation = Activation::silu;
  TimeInjection time_injection = TimeInjection::add;
  double output_scale_factor = 1;  ///< the sum is divided by it
  Resampling resampling = Resampling::none;
  std::optional<bool> conv_shortcut = {};  ///< a 1x1 convolution on the way around; unset = where the channels change
};

/// norm1, act, [resample], conv1, time, norm2, act, dropout, conv2; plus the input, [resampled], [through
/// conv_shortcut].
class ResnetBlock2D final : public Module {
 public:
  ResnetBlock2D(const ResnetOptions& options, Rng* init);
  /// x [B,C_in,H,W] -> [B,C_out,H',W'].
  Tensor operator()(const Remade& x, const TimeInput& time) const;
  /// What it makes of the time: temb [N,temb_channels] -> [N,C_out], or [N,2*C_out] of a scale and a shift; undefined
  /// where it is not told.
  Tensor project_time(const Tensor& temb) const;
  std::string describe() const override;
  const Dropout& dropout() const { return dropout_; }

 private:
  Tensor norm_and_activate(const GroupNorm& norm, const Tensor& x) const;
  bool uses_silu() const;

  ResnetOptions options_;
  GroupNorm norm1_;
  Conv2d conv1_;
  std::optional<Linear> time_emb_proj_;
  GroupNorm norm2_;
  Dropout dropout_;
  Conv2d conv2_;
  std::optional<Conv2d> conv_shortcut_;
};

}  // namespace unnoise
