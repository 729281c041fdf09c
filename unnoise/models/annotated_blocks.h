// The two kinds of residual block of "The Annotated Diffusion Model": its own (weight-standardised ResNet) and the one
// that it began with (ConvNeXT).
#pragma once

#include <optional>

#include "unnoise/models/annotated_layers.h"

namespace unnoise {

/// StandardizedConv2d, GroupNorm, SiLU; twice. The time scales and shifts the first norm's result: norm(h) (1 + scale)
/// + shift. The input is added, through a 1x1 convolution where the channels change (He et al. 2016).
class StandardizedResnetBlock final : public Module {
 public:
  struct Options {
    int64_t in_channels = 0;
    int64_t out_channels = 0;
    int64_t temb_channels = 0;
    int64_t groups = 4;
  };
  StandardizedResnetBlock(const Options& options, Rng* init);
  /// x [B,C_in,H,W], temb [B,temb_channels] -> [B,C_out,H,W].
  Tensor operator()(const Tensor& x, const Tensor& temb) const;
  std::string describe() const override { return "StandardizedResnetBlock"; }

 private:
  Linear time_;  // [B,temb_channels] -> scale and shift, [B,2*C_out]
  StandardizedConv2d conv1_;
  GroupNorm norm1_;
  StandardizedConv2d conv2_;
  GroupNorm norm2_;
  std::optional<Conv2d> shortcut_;
};

/// A 7x7 filter for each channel, plus the time; norm, 3x3 convolution to twice C_out, GELU, norm, 3x3 convolution;
/// plus the input (after Liu et al. 2022, "A ConvNet for the 2020s", whose convolutions between the norms are 1x1).
class ConvNextBlock final : public Module {
 public:
  struct Options {
    int64_t in_channels = 0;
    int64_t out_channels = 0;
    int64_t temb_channels = 0;  ///< 0: the block is not told the time
  };
  ConvNextBlock(const Options& options, Rng* init);
  /// x [B,C_in,H,W], temb [B,temb_channels] or undefined -> [B,C_out,H,W].
  Tensor operator()(const Tensor& x, const Tensor& temb) const;
  std::string describe() const override { return "ConvNextBlock"; }

 private:
  std::optional<Linear> time_;
  DepthwiseConv7x7 depthwise_;
  ChannelNorm norm1_;
  Conv2d expand_;
  ChannelNorm norm2_;
  Conv2d reduce_;
  std::optional<Conv2d> shortcut_;
};

}  // namespace unnoise
