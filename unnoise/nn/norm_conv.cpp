#include "unnoise/nn/norm_conv.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "unnoise/nn/layer_kernels.h"
#include "unnoise/nn/once_differentiable.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct NormConvFunction : torch::autograd::Function<NormConvFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& norm_weight, const Tensor& norm_bias,
                        const Tensor& weight, const Tensor& bias, const OptionalTensor& image_bias,
                        const OptionalTensor& residual, const GroupNormOptions& norm, int64_t padding,
                        const KeptMap& kept_x) {
    const NormSettings settings{norm.groups, norm.eps, /*silu=*/true};
    const Normed normed = normalise(x, norm_weight, norm_bias, settings);
    variable_list kept{norm_weight, norm_bias, normed.mean, normed.rstd, weight};
    kept_x.save(x, kept);
    context->save_for_backward(std::move(kept));
    auto& saved = context->saved_data;
    saved["groups"] = norm.groups;
    saved["eps"] = norm.eps;
    saved["padding"] = padding;
    saved["has_image_bias"] = image_bias.has_value();
    saved["has_residual"] = residual.has_value();
    saved["way"] = kept_x.way();
    return convolve({x, weight, {1, padding, padding}}, normed.y, weight, bias, image_bias, residual, nullptr);
  }

  static variable_list backward(AutogradContext* context, const variable_list& output_gradients) {
    expect_once_differentiable();
    const auto kept = context->get_saved_variables();
    const Tensor &norm_weight = kept[0], &norm_bias = kept[1], &weight = kept[4];
    auto& saved = context->saved_data;
    const NormSettings settings{saved["groups"].toInt(), saved["eps"].toDouble(), /*silu=*/true};
    const int64_t padding = saved["padding"].toInt();
    const Tensor gradient = channels_last(output_gradients[0]);
    const Tensor x = KeptMap::load(saved["way"].toInt(), kept, 5, gradient.scalar_type());
    const ConvCall call(x, weight, {1, padding, padding});

    // Gradients are asked for by edge, and an argument that was left out has none.
    const bool has_image_bias = saved["has_image_bias"].toBool(), has_residual = saved["has_residual"].toBool();
    const bool wants_image_bias = has_image_bias && context->needs_input_grad(5);
    const bool wants_residual = has_residual && context->needs_input_grad(has_image_bias ? 6 : 5);
    const bool wants_norm = context->needs_input_grad(1) || context->needs_input_grad(2);

    NormGradients d;
    Tensor d_weight, d_bias, d_image_bias;
    if (context->needs_input_grad(0) || wants_norm)
      d = norm_gradients(x, {{}, kept[2], kept[3]}, norm_weight, norm_bias, settings,
                         input_gradient(call, gradient, weight),
                         {.x = context->needs_input_grad(0),
                          .parameters = wants_norm,
                          .reuse_dy = true,
                          .y = context->needs_input_grad(3),
                          .reuse_x = KeptMap::is_remade(saved["way"].toInt())});
    else
      d.y = normalise(x, norm_weight, norm_bias, settings).y;
    if (context->needs_input_grad(3)) d_weight = weight_gradient(call, d.y, gradient, weight);
    if (context->needs_input_grad(4) || wants_image_bias) {
      d_image_bias = image_sums(gradient);
      if (context->needs_input_grad(4)) d_bias = d_image_bias.sum(0);
      if (!wants_image_bias) d_image_bias = Tensor();
    }
    return {d.x,      d.weight, d.bias,  d_weight, d_bias, d_image_bias, wants_residual ? gradient : Tensor(),
            Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor norm_silu_conv(const Remade& input, const GroupNorm& norm, const Conv2d& conv, const ConvSums& sums) {
  const Tensor& x = input.map;
  const auto& o = conv.options();
  const auto type = kernel_type(x, conv.weight(), {o.stride, o.padding, o.end_padding.value_or(o.padding)});
  const bool widens = type && *type == at::kFloat && x.scalar_type() != at::kFloat;  // x would be kept twice as large
  const bool keeps_less = type && !widens && c10::GradMode::is_enabled() && !Trace::is_on() && o.stride == 1 &&
                          !o.end_padding && norm.weight().scalar_type() == at::kFloat;
  if (!keeps_less) return conv(norm.with_silu(x), sums);
  const auto image_bias = if_defined(sums.image_bias.defined() ? sums.image_bias.to(at::kFloat) : Tensor());
  const auto residual = if_defined(sums.residual.defined() ? sums.residual.to(*type) : Tensor());
  return NormConvFunction::apply(channels_last(x.to(*type)), norm.weight().contiguous(), norm.bias().contiguous(),
                                 conv.weight().contiguous(), conv.bias(), image_bias, residual, norm.options(),
                                 o.padding, KeptMap(input));
}

}  // namespace unnoise
