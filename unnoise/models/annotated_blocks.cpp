#include "unnoise/models/annotated_blocks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>

#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

Conv2dOptions pointwise(int64_t in, int64_t out) {
  return {.in_channels = in, .out_channels = out, .kernel_size = 1, .padding = 0};
}

Conv2dOptions same_size(int64_t in, int64_t out) { return {.in_channels = in, .out_channels = out, .padding = 1}; }

/// [B,C] -> [B,C,1,1].
Tensor for_every_pixel(const Tensor& t) { return t.unsqueeze(-1).unsqueeze(-1); }

}  // namespace

StandardizedResnetBlock::StandardizedResnetBlock(const Options& o, Rng* init)
    : time_({o.temb_channels, 2 * o.out_channels}, init),
      conv1_(o.in_channels, o.out_channels, init),
      norm1_({o.groups, o.out_channels}),
      conv2_(o.out_channels, o.out_channels, init),
      norm2_({o.groups, o.out_channels}) {
  if (o.in_channels != o.out_channels) shortcut_.emplace(pointwise(o.in_channels, o.out_channels), init);
  add_child("mlp.1", time_);
  add_child("block1.proj", conv1_);
  add_child("block1.norm", norm1_);
  add_child("block2.proj", conv2_);
  add_child("block2.norm", norm2_);
  if (shortcut_) add_child("res_conv", *shortcut_);
}

Tensor StandardizedResnetBlock::operator()(const Tensor& x, const Tensor& temb) const {
  const auto scale_shift = for_every_pixel(time_(at::silu(temb))).chunk(2, 1);
  Tensor h = at::silu(norm1_(conv1_(x)) * (scale_shift[0] + 1) + scale_shift[1]);
  h = norm2_.with_silu(conv2_(h)) + (shortcut_ ? (*shortcut_)(x) : x);
  Trace::note(*this, h);
  return h;
}

ConvNextBlock::ConvNextBlock(const Options& o, Rng* init)
    : time_(o.temb_channels > 0
                ? std::optional<Linear>(std::in_place, LinearOptions{o.temb_channels, o.in_channels}, init)
                : std::nullopt),
      depthwise_(o.in_channels, init),
      norm1_(o.in_channels),
      expand_(same_size(o.in_channels, 2 * o.out_channels), init),
      norm2_(2 * o.out_channels),
      reduce_(same_size(2 * o.out_channels, o.out_channels), init) {
  if (o.in_channels != o.out_channels) shortcut_.emplace(pointwise(o.in_channels, o.out_channels), init);
  if (time_) add_child("mlp.1", *time_);
  add_child("ds_conv", depthwise_);
  add_child("net.0", norm1_);
  add_child("net.1", expand_);
  add_child("net.3", norm2_);
  add_child("net.4", reduce_);
  if (shortcut_) add_child("res_conv", *shortcut_);
}

Tensor ConvNextBlock::operator()(const Tensor& x, const Tensor& temb) const {
  Tensor h = depthwise_(x);
  if (time_) h = h + for_every_pixel((*time_)(at::gelu(temb)));
  h = reduce_(norm2_(at::gelu(expand_(norm1_(h)))));
  h = h + (shortcut_ ? (*shortcut_)(x) : x);
  Trace::note(*this, h);
  return h;
}

}  // namespace unnoise
