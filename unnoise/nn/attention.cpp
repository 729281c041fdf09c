#include "unnoise/nn/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/nn/conv.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/self_attention.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

int64_t count_heads(const AttentionOptions& o) {
  if (o.head_dim < 1 || o.head_dim > o.channels)
    throw usage_error(fmt::format("attention: a head of {} does not fit {} channels", o.head_dim, o.channels),
                      fmt::format("Use a head dimension from 1 to {}, or null for a single head.", o.channels));
  return o.channels / o.head_dim;
}

bool has_kernel(const Tensor& x) {
  return use_fast_kernels(x) &&
         (!at::autocast::is_autocast_enabled(at::kCPU) || at::autocast::get_autocast_dtype(at::kCPU) == at::kBFloat16);
}

}  // namespace

Attention::Attention(const AttentionOptions& o, Rng* init)
    : options_(o),
      heads_(count_heads(o)),
      to_q_({o.channels, heads_ * o.head_dim}, init),
      to_k_({o.channels, heads_ * o.head_dim}, init),
      to_v_({o.channels, heads_ * o.head_dim}, init),
      to_out_0_({heads_ * o.head_dim, o.channels}, init),
      to_out_(to_out_0_) {
  if (o.norm_groups) group_norm_.emplace(GroupNormOptions{*o.norm_groups, o.channels, o.eps});
  if (group_norm_) add_child("group_norm", *group_norm_);
  add_child("to_q", to_q_);
  add_child("to_k", to_k_);
  add_child("to_v", to_v_);
  add_child("to_out", to_out_);
}

Tensor Attention::mix(const Tensor& x) const {
  const int64_t batch = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3);
  Tensor h = x.reshape({batch, channels, pixels});
  if (group_norm_) h = (*group_norm_)(h);
  h = h.transpose(1, 2).contiguous();  // [B,pixels,C]

  const auto split_heads = [&](const Tensor& t) {  // [B,pixels,heads*d] -> [B,heads,pixels,d]
    return t.view({batch, pixels, heads_, options_.head_dim}).transpose(1, 2);
  };
  const Tensor mixed =
      at::scaled_dot_product_attention(split_heads(to_q_(h)), split_heads(to_k_(h)), split_heads(to_v_(h)));
  h = to_out_0_(mixed.transpose(1, 2).reshape({batch, pixels, heads_ * options_.head_dim}));
  return h.transpose(1, 2).view(x.sizes());
}

Tensor Attention::with_mix_on_kernels(const Tensor& x) const {
  const Tensor map = channels_last(group_norm_ ? (*group_norm_)(x) : x).permute({0, 2, 3, 1});  // [B,H,W,C]
  const Tensor rows = map.reshape({map.size(0), map.size(1) * map.size(2), map.size(3)});
  Tensor mixed;
  if (c10::GradMode::is_enabled() && !Trace::is_on()) {
    // One product instead of three, and no sum of three gradients on the way back; the copy of the weights costs less.
    const Tensor weight = at::cat({to_q_.weight(), to_k_.weight(), to_v_.weight()});
    mixed = self_attention(linear(rows, weight, at::cat({to_q_.bias(), to_k_.bias(), to_v_.bias()})), heads_);
  } else {
    mixed = self_attention(to_q_(rows), to_k_(rows), to_v_(rows), heads_);
  }
  const Tensor around = channels_last(x).permute({0, 2, 3, 1}).view(rows.sizes());
  return to_out_0_(mixed, around).view(map.sizes()).permute({0, 3, 1, 2});
}

Tensor Attention::operator()(const Tensor& x) const {
  Tensor y = has_kernel(x) ? with_mix_on_kernels(x) : x + mix(x);
  if (options_.output_scale_factor != 1) y = y / options_.output_scale_factor;
  if (Trace::is_on()) {
    const int64_t pixels = x.size(2) * x.size(3);
    Trace::note(*this, y, 2 * x.size(0) * pixels * pixels * heads_ * options_.head_dim);  // q k' and (...) v
  }
  return y;
}

std::string Attention::describe() const {
  return fmt::format("Attention({}, heads={}, head_dim={})", options_.channels, heads_, options_.head_dim);
}

}  // namespace unnoise
