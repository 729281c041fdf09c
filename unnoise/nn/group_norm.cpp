#include "unnoise/nn/group_norm.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/custom_function.h>

#include "unnoise/kernels/group_norm.h"
#include "unnoise/kernels/scalar.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/once_differentiable.h"

namespace unnoise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Settings {
  int64_t groups;
  double eps;
  bool silu;
};

kernels::GroupNormShape shape_of(const Tensor& x, int64_t groups) {
  return {x.size(0), x.size(2) * x.size(3), x.size(1), groups};
}

/// Calls f with a null pointer of the kernels' type for x's values.
template <class F>
void with_type(const Tensor& x, const F& f) {
  if (x.scalar_type() == at::kFloat)
    f(static_cast<float*>(nullptr));
  else
    f(static_cast<kernels::bf16*>(nullptr));
}

template <class T>
T* values(const Tensor& x, T*) {
  return x.defined() ? static_cast<T*>(x.data_ptr()) : nullptr;
}

struct Forward {
  Tensor y, mean, rstd;

  /// x is channels-last; weight and bias are contiguous float32.
  Forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Settings& s)
      : y(at::empty_like(x)),
        mean(at::empty({x.size(0), s.groups}, weight.options().requires_grad(false))),
        rstd(at::empty_like(mean)) {
    with_type(x, [&](auto* type) {
      kernels::group_norm(shape_of(x, s.groups), values(x, type), weight.const_data_ptr<float>(),
                          bias.const_data_ptr<float>(), s.eps, s.silu, values(y, type), mean.mutable_data_ptr<float>(),
                          rstd.mutable_data_ptr<float>());
    });
  }
};

struct GroupNormFunction : torch::autograd::Function<GroupNormFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Settings& settings) {
    const Forward result(x, weight, bias, settings);
    context->save_for_backward({x, weight, bias, result.mean, result.rstd});
    context->saved_data["groups"] = settings.groups;
    context->saved_data["silu"] = settings.silu;
    return result.y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    expect_once_differentiable();
    const variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &bias = saved[2];
    const Tensor dy = channels_last(gradients[0]);
    Tensor dx, dweight, dbias;
    if (context->needs_input_grad(0)) dx = at::empty_like(x);
    if (context->needs_input_grad(1) || context->needs_input_grad(2)) {
      dweight = at::empty_like(weight);
      dbias = at::empty_like(bias);
    }
    with_type(x, [&]<class T>(T* type) {
      const kernels::GroupNormSaved<T> kept{values(x, type),
                                            saved[3].const_data_ptr<float>(),
                                            saved[4].const_data_ptr<float>(),
                                            weight.const_data_ptr<float>(),
                                            bias.const_data_ptr<float>(),
                                            context->saved_data["silu"].toBool()};
      kernels::group_norm_backward<T>(shape_of(x, context->saved_data["groups"].toInt()), kept, values(dy, type),
                                      values(dx, type), values<float>(dweight, nullptr), values<float>(dbias, nullptr));
    });
    return {dx, dweight, dbias, Tensor()};
  }
};

bool has_kernel(const Tensor& x, const Tensor& weight) {
  return use_fast_kernels(x) && x.dim() == 4 && x.size(1) == weight.size(0);
}

Tensor autocast(const Tensor& x) {
  const bool to_bf16 =
      at::autocast::is_autocast_enabled(at::kCPU) && at::autocast::get_autocast_dtype(at::kCPU) == at::kBFloat16;
  return to_bf16 ? x.to(at::kBFloat16) : x;
}

}  // namespace

Tensor group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups, double eps, bool silu) {
  if (!has_kernel(x, weight)) {
    const Tensor y = at::group_norm(x, groups, weight, bias, eps);
    return silu ? at::silu(y) : y;
  }
  const Tensor input = channels_last(autocast(x));
  const Tensor w = weight.to(at::kFloat).contiguous(), b = bias.to(at::kFloat).contiguous();
  const Settings settings{groups, eps, silu};
  if (c10::GradMode::is_enabled() && (input.requires_grad() || w.requires_grad() || b.requires_grad()))
    return GroupNormFunction::apply(input, w, b, settings);
  return Forward(input, w, b, settings).y;
}

}  // namespace unnoise
