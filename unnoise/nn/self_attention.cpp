#include "unnoise/nn/self_attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "unnoise/kernels/attention.h"
#include "unnoise/kernels/scalar.h"
#include "unnoise/nn/once_differentiable.h"

namespace unnoise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// `parts` are one tensor of q, k and v side by side, or three.
kernels::AttentionShape shape_of(at::TensorList parts, int64_t heads) {
  const Tensor& q = parts[0];
  const int64_t row = q.size(2), inner = parts.size() == 1 ? row / 3 : row;
  return {q.size(0), q.size(1), heads, inner / heads, row, inner};
}

/// Where q (0), k (1) or v (2) begins.
template <class T>
T* start(at::TensorList parts, int64_t which) {
  if (parts.size() == 1) return static_cast<T*>(parts[0].data_ptr()) + which * (parts[0].size(2) / 3);
  return static_cast<T*>(parts[static_cast<size_t>(which)].data_ptr());
}

template <class T>
kernels::AttentionInputs<T> inputs(at::TensorList parts) {
  return {start<T>(parts, 0), start<T>(parts, 1), start<T>(parts, 2)};
}

/// Calls f<T>() with the kernels' type for x's values.
template <class F>
void with_type(const Tensor& x, const F& f) {
  if (x.scalar_type() == at::kFloat)
    f.template operator()<float>();
  else
    f.template operator()<kernels::bf16>();
}

Tensor attend(at::TensorList parts, int64_t heads, float* log_sum) {
  const auto shape = shape_of(parts, heads);
  Tensor out = at::empty({shape.images, shape.tokens, shape.out_stride}, parts[0].options());
  with_type(out, [&]<class T>() {
    kernels::attention<T>(shape, inputs<T>(parts), static_cast<T*>(out.data_ptr()), log_sum);
  });
  return out;
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static Tensor forward(AutogradContext* context, at::TensorList parts, int64_t heads) {
    const Tensor log_sum = at::empty({parts[0].size(0), heads, parts[0].size(1)}, parts[0].options().dtype(at::kFloat));
    Tensor out = attend(parts, heads, log_sum.mutable_data_ptr<float>());
    variable_list saved(parts.begin(), parts.end());
    saved.push_back(out);
    saved.push_back(log_sum);
    context->save_for_backward(saved);
    context->saved_data["heads"] = heads;
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& output_gradients) {
    expect_once_differentiable();
    const variable_list saved = context->get_saved_variables();
    const at::TensorList parts(saved.data(), saved.size() - 2);
    const Tensor &out = saved[saved.size() - 2], &log_sum = saved.back();
    const Tensor gradient = output_gradients[0].contiguous();
    variable_list gradients;
    for (const Tensor& part : parts) gradients.push_back(at::empty_like(part));
    with_type(out, [&]<class T>() {
      kernels::attention_backward<T>(
          shape_of(parts, context->saved_data["heads"].toInt()),
          {inputs<T>(parts), static_cast<const T*>(out.const_data_ptr()), log_sum.const_data_ptr<float>()},
          static_cast<const T*>(gradient.const_data_ptr()), start<T>(gradients, 0), start<T>(gradients, 1),
          start<T>(gradients, 2));
    });
    gradients.emplace_back();  // heads
    return gradients;
  }
};

Tensor self_attention(variable_list parts, int64_t heads) {
  bool wanted = false;
  for (Tensor& part : parts) {
    part = part.contiguous();
    wanted = wanted || part.requires_grad();
  }
  if (wanted && c10::GradMode::is_enabled()) return AttentionFunction::apply(at::TensorList(parts), heads);
  return attend(parts, heads, nullptr);
}

}  // namespace

Tensor self_attention(const Tensor& qkv, int64_t heads) { return self_attention(variable_list{qkv}, heads); }

Tensor self_attention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads) {
  return self_attention(variable_list{q, k, v}, heads);
}

}  // namespace unnoise
