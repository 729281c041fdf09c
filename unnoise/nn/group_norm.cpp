#include "unnoise/nn/group_norm.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/custom_function.h>

#include "unnoise/nn/layer_kernels.h"
#include "unnoise/nn/once_differentiable.h"

namespace unnoise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct GroupNormFunction : torch::autograd::Function<GroupNormFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const NormSettings& settings) {
    const Normed result = normalise(x, weight, bias, settings);
    context->save_for_backward({x, weight, bias, result.mean, result.rstd});
    context->saved_data["groups"] = settings.groups;
    context->saved_data["eps"] = settings.eps;
    context->saved_data["silu"] = settings.silu;
    return result.y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    expect_once_differentiable();
    const variable_list saved = context->get_saved_variables();
    auto& data = context->saved_data;
    const NormSettings settings{data["groups"].toInt(), data["eps"].toDouble(), data["silu"].toBool()};
    const bool parameters = context->needs_input_grad(1) || context->needs_input_grad(2);
    const auto d = norm_gradients(saved[0], {{}, saved[3], saved[4]}, saved[1], saved[2], settings,
                                  channels_last(gradients[0]), {context->needs_input_grad(0), parameters});
    return {d.x, d.weight, d.bias, Tensor()};
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
  const NormSettings settings{groups, eps, silu};
  if (c10::GradMode::is_enabled() && (input.requires_grad() || w.requires_grad() || b.requires_grad()))
    return GroupNormFunction::apply(input, w, b, settings);
  return normalise(input, w, b, settings).y;
}

}  // namespace unnoise
