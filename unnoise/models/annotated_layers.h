// What the networks of "The Annotated Diffusion Model" need beyond nn/layers.h: convolutions with standardised weights,
// by channel, without bias and transposed; a norm over the channels of a pixel; two kinds of attention.
#pragma once

#include <optional>

#include "unnoise/nn/layers.h"

namespace unnoise {

/// A 3x3 convolution that sees its weights standardised: those of each filter, over C_in*3*3, with mean 0 and variance
/// 1 (Qiao et al. 2019, "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization", eq. 3;
/// biased variance, eps 1e-5, or 1e-3 in half precision). Scaling a filter changes nothing, eps aside.
/// [B,C_in,H,W] -> [B,C_out,H,W].
class StandardizedConv2d final : public Module {
 public:
  StandardizedConv2d(int64_t in_channels, int64_t out_channels, Rng* init);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const override;

 private:
  Tensor weight_, bias_;
};

/// A 7x7 filter for each channel by itself. [B,C,H,W] -> the same shape.
class DepthwiseConv7x7 final : public Module {
 public:
  DepthwiseConv7x7(int64_t channels, Rng* init);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const override;

 private:
  Tensor weight_, bias_;
};

/// A transposed convolution of 4x4 and step 2: twice the size. [B,C,H,W] -> [B,C,2H,2W].
class UpsampleTransposed final : public Module {
 public:
  UpsampleTransposed(int64_t channels, Rng* init);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const override;

 private:
  Tensor weight_, bias_;
};

/// Ba et al. 2016 over the channels of each pixel. [B,C,H,W] -> the same shape; draws nothing.
class ChannelNorm final : public Module {
 public:
  explicit ChannelNorm(int64_t channels);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const override;

 private:
  Tensor weight_, bias_;  // [C]
};

/// The norm before an attention.
enum class PreNorm {
  group,    ///< GroupNorm of one group
  channel,  ///< ChannelNorm
};

/// x + attention(norm(x)) among the pixels, 4 heads of 32. [B,C,H,W] -> the same shape.
/// full:   softmax(q k' / sqrt(32)) v (Vaswani et al. 2017, eq. 1); its cost is quadratic in the number of pixels.
/// linear: softmax(q) (softmax(k)' v) / sqrt(32), q over the features, k over the pixels (Shen et al. 2021, "Efficient
///         Attention", eq. 6), then a GroupNorm of one group; its cost is linear.
class ResidualAttention final : public Module {
 public:
  enum class Kind { full, linear };
  ResidualAttention(int64_t channels, Kind kind, PreNorm norm, Rng* init);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const override;

 private:
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v) const;

  Kind kind_;
  int64_t channels_;
  Tensor qkv_weight_;             // [3*heads*32,C,1,1], no bias
  Tensor out_weight_, out_bias_;  // [C,heads*32,1,1], [C]
  std::optional<GroupNorm> out_norm_;
  std::optional<GroupNorm> group_norm_;
  std::optional<ChannelNorm> channel_norm_;
};

}  // namespace unnoise
