#include "unnoise/models/annotated_layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/var.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/nn/conv.h"
#include "unnoise/nn/init.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

constexpr int64_t kHeads = 4, kHeadDim = 32, kHidden = kHeads * kHeadDim;

/// As torch draws them: first the weight, then the bias, if there is one.
Tensor drawn_weight(const Shape& shape, int64_t fan_in, Rng* init) {
  Tensor weight = at::empty(shape, at::kFloat);
  if (init) draw_weight(weight, fan_in, *init);
  return weight;
}

Tensor drawn_bias(int64_t channels, int64_t fan_in, Rng* init) {
  Tensor bias = at::empty({channels}, at::kFloat);
  if (init) draw_bias(bias, fan_in, *init);
  return bias;
}

}  // namespace

StandardizedConv2d::StandardizedConv2d(int64_t in, int64_t out, Rng* init)
    : weight_(drawn_weight({out, in, 3, 3}, in * 9, init)), bias_(drawn_bias(out, in * 9, init)) {
  add_parameter("weight", weight_);
  add_parameter("bias", bias_);
}

Tensor StandardizedConv2d::operator()(const Tensor& x) const {
  const double eps = x.scalar_type() == at::kFloat ? 1e-5 : 1e-3;
  const Tensor mean = weight_.mean({1, 2, 3}, /*keepdim=*/true);
  const Tensor variance = weight_.var({1, 2, 3}, /*unbiased=*/false, /*keepdim=*/true);
  Tensor y =
      conv2d(x, (weight_ - mean) * (variance + eps).rsqrt(), bias_, {.stride = 1, .padding = 1, .end_padding = 1});
  if (Trace::is_on()) Trace::note(*this, y, y.numel() * weight_.size(1) * 9);
  return y;
}

std::string StandardizedConv2d::describe() const {
  return fmt::format("StandardizedConv2d({}, {}, kernel_size=3, padding=1)", weight_.size(1), weight_.size(0));
}

DepthwiseConv7x7::DepthwiseConv7x7(int64_t channels, Rng* init)
    : weight_(drawn_weight({channels, 1, 7, 7}, 49, init)), bias_(drawn_bias(channels, 49, init)) {
  add_parameter("weight", weight_);
  add_parameter("bias", bias_);
}

Tensor DepthwiseConv7x7::operator()(const Tensor& x) const {
  Tensor y = at::conv2d(x, weight_, bias_, {1, 1}, {3, 3}, {1, 1}, weight_.size(0));
  if (Trace::is_on()) Trace::note(*this, y, y.numel() * 49);
  return y;
}

std::string DepthwiseConv7x7::describe() const { return fmt::format("DepthwiseConv7x7({})", weight_.size(0)); }

// torch takes a transposed convolution's fan_in from its second dimension: the output channels.
UpsampleTransposed::UpsampleTransposed(int64_t channels, Rng* init)
    : weight_(drawn_weight({channels, channels, 4, 4}, channels * 16, init)),
      bias_(drawn_bias(channels, channels * 16, init)) {
  add_parameter("weight", weight_);
  add_parameter("bias", bias_);
}

Tensor UpsampleTransposed::operator()(const Tensor& x) const {
  Tensor y = at::conv_transpose2d(x, weight_, bias_, {2, 2}, {1, 1});
  if (Trace::is_on()) Trace::note(*this, y, x.numel() * weight_.size(1) * 16);
  return y;
}

std::string UpsampleTransposed::describe() const { return fmt::format("UpsampleTransposed({})", weight_.size(0)); }

ChannelNorm::ChannelNorm(int64_t channels)
    : weight_(at::ones({channels}, at::kFloat)), bias_(at::zeros({channels}, at::kFloat)) {
  add_parameter("weight", weight_);
  add_parameter("bias", bias_);
}

Tensor ChannelNorm::operator()(const Tensor& x) const {
  const Tensor pixels = channels_last(x).permute({0, 2, 3, 1});  // [B,H,W,C]
  Tensor y = at::layer_norm(pixels, weight_.sizes(), weight_, bias_, 1e-5).permute({0, 3, 1, 2});
  Trace::note(*this, y);
  return y;
}

std::string ChannelNorm::describe() const { return fmt::format("ChannelNorm({})", weight_.size(0)); }

ResidualAttention::ResidualAttention(int64_t channels, Kind kind, PreNorm norm, Rng* init)
    : kind_(kind),
      channels_(channels),
      qkv_weight_(drawn_weight({3 * kHidden, channels, 1, 1}, channels, init)),
      out_weight_(drawn_weight({channels, kHidden, 1, 1}, kHidden, init)),
      out_bias_(drawn_bias(channels, kHidden, init)) {
  const std::string out = kind == Kind::linear ? "fn.fn.to_out.0" : "fn.fn.to_out";
  add_parameter("fn.fn.to_qkv.weight", qkv_weight_);
  add_parameter(out + ".weight", out_weight_);
  add_parameter(out + ".bias", out_bias_);
  if (kind == Kind::linear) add_child("fn.fn.to_out.1", out_norm_.emplace(GroupNormOptions{1, channels}));
  if (norm == PreNorm::group) add_child("fn.norm", group_norm_.emplace(GroupNormOptions{1, channels}));
  if (norm == PreNorm::channel) add_child("fn.norm", channel_norm_.emplace(channels));
}

/// Each [B,heads,N,32] -> the same shape.
Tensor ResidualAttention::attend(const Tensor& q, const Tensor& k, const Tensor& v) const {
  if (kind_ == Kind::full) return at::scaled_dot_product_attention(q, k, v);
  const Tensor context = at::matmul(k.softmax(-2).transpose(-2, -1), v);  // [B,heads,32,32]
  return at::matmul(q.softmax(-1), context) / std::sqrt(static_cast<double>(kHeadDim));
}

Tensor ResidualAttention::operator()(const Tensor& x) const {
  const int64_t batch = x.size(0), pixels = x.size(2) * x.size(3);
  const Tensor normed = group_norm_ ? (*group_norm_)(x) : (*channel_norm_)(x);
  const Tensor map = channels_last(normed).permute({0, 2, 3, 1});  // [B,H,W,C]
  const auto qkv = linear(map.reshape({batch, pixels, channels_}), qkv_weight_.flatten(1), {})
                       .view({batch, pixels, 3, kHeads, kHeadDim})
                       .permute({2, 0, 3, 1, 4});  // [3,B,heads,N,32]
  const Tensor mixed = attend(qkv[0], qkv[1], qkv[2]).transpose(1, 2).reshape({batch, pixels, kHidden});
  Tensor y = linear(mixed, out_weight_.flatten(1), out_bias_).view(map.sizes()).permute({0, 3, 1, 2});
  if (out_norm_) y = (*out_norm_)(y);
  y = channels_last(x) + y;
  if (Trace::is_on()) {
    const int64_t products = batch * pixels * kHidden * 2 * (kind_ == Kind::full ? pixels : kHeadDim);
    Trace::note(*this, y, batch * pixels * channels_ * kHidden * 4 + products);
  }
  return y;
}

std::string ResidualAttention::describe() const {
  return fmt::format("{}Attention({}, heads={}, head_dim={})", kind_ == Kind::full ? "" : "Linear", channels_, kHeads,
                     kHeadDim);
}

}  // namespace unnoise
