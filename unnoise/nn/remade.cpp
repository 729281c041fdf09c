#include "unnoise/nn/remade.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>

#include "unnoise/kernels/channels.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/resample.h"

namespace unnoise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Tensor map_like(const Tensor& x, int64_t channels) {
  return at::empty({x.size(0), channels, x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
}
int64_t pixels_of(const Tensor& x) { return x.size(0) * x.size(2) * x.size(3); }
int64_t pixel_bytes(const Tensor& x) { return x.size(1) * x.element_size(); }

Tensor join(const Tensor& a, const Tensor& b) {
  if (!use_fast_kernels(a) || !use_fast_kernels(b) || a.scalar_type() != b.scalar_type()) return at::cat({a, b}, 1);
  const Tensor left = channels_last(a), right = channels_last(b);
  Tensor whole = map_like(left, left.size(1) + right.size(1));
  kernels::join_channels(pixels_of(whole), {left.const_data_ptr(), pixel_bytes(left)},
                         {right.const_data_ptr(), pixel_bytes(right)}, whole.mutable_data_ptr());
  return whole;
}

/// Its first `channels` and the others; undefined where not wanted.
std::array<Tensor, 2> split(const Tensor& whole, int64_t channels, bool wants_first, bool wants_second) {
  const int64_t others = whole.size(1) - channels;
  if (!use_fast_kernels(whole) || c10::GradMode::is_enabled())
    return {wants_first ? channels_last(whole.narrow(1, 0, channels)) : Tensor(),
            wants_second ? channels_last(whole.narrow(1, channels, others)) : Tensor()};
  const Tensor from = channels_last(whole);
  const Tensor a = wants_first ? map_like(from, channels) : Tensor();
  const Tensor b = wants_second ? map_like(from, others) : Tensor();
  const int64_t element = from.element_size();
  kernels::split_channels(pixels_of(from), from.const_data_ptr(),
                          {a.defined() ? a.mutable_data_ptr() : nullptr, channels * element},
                          {b.defined() ? b.mutable_data_ptr() : nullptr, others * element});
  return {a, b};
}

/// cat's own backward pass gives views of one gradient: the last of them to be needed, a skip's, would keep all of it.
struct JoinFunction : torch::autograd::Function<JoinFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& a, const Tensor& b) {
    context->saved_data["channels"] = a.size(1);
    return join(a, b);
  }
  static variable_list backward(AutogradContext* context, const variable_list& output_gradients) {
    const int64_t first = context->saved_data["channels"].toInt();
    const auto [a, b] = split(output_gradients[0], first, context->needs_input_grad(0), context->needs_input_grad(1));
    return {a, b};
  }
};

Tensor make(Remade::Way way, at::ArrayRef<Tensor> from) {
  const Tensor& x = from[0];
  switch (way) {
    case Remade::Way::none:
      return x;
    case Remade::Way::joined:
      return join(x, from[1]);
    case Remade::Way::doubled:
      return nearest_resize(x, {2 * x.size(2), 2 * x.size(3)});
  }
  return x;
}

}  // namespace

Remade Remade::joined(const Tensor& a, const Tensor& b) {
  return {c10::GradMode::is_enabled() ? JoinFunction::apply(a, b) : make(Way::joined, {a, b}), Way::joined, {a, b}};
}

Remade Remade::doubled(const Tensor& x) { return {make(Way::doubled, x), Way::doubled, {x}}; }

void KeptMap::save(const Tensor& x, std::vector<Tensor>& saved) const {
  if (way_ == Way::none)
    saved.push_back(x);
  else
    saved.insert(saved.end(), from_.begin(), from_.end());
}

Tensor KeptMap::load(int64_t way, const std::vector<Tensor>& saved, size_t first, at::ScalarType type) {
  const Tensor x = make(static_cast<Way>(way), {saved.data() + first, saved.size() - first});
  return is_remade(way) ? channels_last(x.to(type)) : x;
}

std::vector<Tensor> KeptMap::load_parts(int64_t way, const std::vector<Tensor>& saved, size_t first,
                                        at::ScalarType type) {
  if (static_cast<Way>(way) != Way::joined) return {load(way, saved, first, type)};
  std::vector<Tensor> parts;
  for (size_t i = first; i < saved.size(); ++i) parts.push_back(channels_last(saved[i].to(type)));
  return parts;
}

}  // namespace unnoise
