#include "unnoise/nn/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

int64_t count_heads(const AttentionOptions& o) {
  if (o.head_dim < 1 || o.head_dim > o.channels)
    throw usage_error(fmt::format("attention: a head of {} does not fit {} channels", o.head_dim, o.channels),
                      fmt::format("Use a head dimension from 1 to {}, or null for a single head.", o.channels));
  return o.channels / o.head_dim;
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

Tensor Attention::operator()(const Tensor& x) const {
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

  Tensor y = x + h.transpose(1, 2).view(x.sizes());  // the sum keeps x's memory layout
  if (options_.output_scale_factor != 1) y = y / options_.output_scale_factor;
  if (Trace::is_on())
    Trace::note(*this, y, 2 * batch * pixels * pixels * heads_ * options_.head_dim);  // q k' and (...) v
  return y;
}

std::string Attention::describe() const {
  return fmt::format("Attention({}, heads={}, head_dim={})", options_.channels, heads_, options_.head_dim);
}

}  // namespace unnoise
