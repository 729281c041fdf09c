#include "unnoise/nn/conv.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "unnoise/nn/layer_kernels.h"
#include "unnoise/nn/once_differentiable.h"

namespace unnoise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Of x in parts along C: a channel's weights know nothing of the others.
Tensor weight_gradient_of_parts(const std::vector<Tensor>& parts, const Tensor& gradient, const Tensor& w,
                                const ConvGeometry& g) {
  std::vector<Tensor> of_parts;
  int64_t first = 0;
  for (const Tensor& x : parts) {
    const Tensor some = w.narrow(1, first, x.size(1));
    of_parts.push_back(weight_gradient({x, some, g}, x, gradient, some));
    first += x.size(1);
  }
  return of_parts.size() == 1 ? of_parts[0] : at::cat(of_parts, 1);
}

struct ConvFunction : torch::autograd::Function<ConvFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_in, const Tensor& weight, const Tensor& bias,
                        const OptionalTensor& image_bias, const OptionalTensor& residual, int64_t stride,
                        int64_t padding, int64_t end_padding, const KeptMap& kept_x) {
    const Tensor x = channels_last(x_in), w = weight.contiguous();
    Tensor y = convolve({x, w, {stride, padding, end_padding}}, x, w, bias, image_bias, residual, nullptr);
    variable_list kept{w};
    kept_x.save(x, kept);
    context->save_for_backward(std::move(kept));
    auto& saved = context->saved_data;
    saved["stride"] = stride;
    saved["padding"] = padding;
    saved["end_padding"] = end_padding;
    saved["has_image_bias"] = image_bias.has_value();
    saved["has_residual"] = residual.has_value();
    saved["way"] = kept_x.way();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& output_gradients) {
    expect_once_differentiable();
    const auto kept = context->get_saved_variables();
    auto& saved = context->saved_data;
    const Tensor gradient = channels_last(output_gradients[0]);
    const Tensor& w = kept[0];
    std::vector<Tensor> parts = KeptMap::load_parts(saved["way"].toInt(), kept, 1, gradient.scalar_type());
    const ConvGeometry g{saved["stride"].toInt(), saved["padding"].toInt(), saved["end_padding"].toInt()};
    const ConvCall call(parts[0], w, g);

    // Gradients are asked for by edge, and an argument that was left out has none.
    const bool has_image_bias = saved["has_image_bias"].toBool(), has_residual = saved["has_residual"].toBool();
    const bool wants_bias = context->needs_input_grad(2);
    const bool wants_image_bias = has_image_bias && context->needs_input_grad(3);
    const bool wants_residual = has_residual && context->needs_input_grad(has_image_bias ? 4 : 3);

    Tensor dx, dw, d_bias, d_image_bias, d_residual;
    if (context->needs_input_grad(1)) dw = weight_gradient_of_parts(parts, gradient, w, g);
    parts.clear();  // frees what was made again
    if (context->needs_input_grad(0)) dx = input_gradient(call, gradient, w);
    if (wants_bias || wants_image_bias) {
      d_image_bias = image_sums(gradient);
      if (wants_bias) d_bias = d_image_bias.sum(0);
      if (!wants_image_bias) d_image_bias = Tensor();
    }
    if (wants_residual) d_residual = gradient;
    return {dx, dw, d_bias, d_image_bias, d_residual, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

Tensor plain_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvGeometry& g,
                    const ConvSums& sums) {
  const int64_t stride[] = {g.stride, g.stride}, padding[] = {g.padding, g.padding};
  const int64_t extra = g.end_padding - g.padding;
  Tensor y = at::conv2d(extra == 0 ? x : at::constant_pad_nd(x, {0, extra, 0, extra}), weight, bias, stride, padding);
  if (sums.image_bias.defined()) y = y + sums.image_bias.unsqueeze(-1).unsqueeze(-1);
  return sums.residual.defined() ? sums.residual + y : y;
}

}  // namespace

Tensor conv2d(const Remade& input, const Tensor& weight, const Tensor& bias, const ConvGeometry& g,
              const ConvSums& sums, PackCache* cache) {
  const Tensor& x = input.map;
  const auto type = kernel_type(x, weight, g);
  if (!type) return plain_conv2d(x, use_fast_kernels(x) ? autocast_weight(weight, cache) : weight, bias, g, sums);
  const auto image_bias = if_defined(sums.image_bias.defined() ? sums.image_bias.to(at::kFloat) : Tensor());
  const auto residual = if_defined(sums.residual.defined() ? sums.residual.to(*type) : Tensor());
  const Tensor map = channels_last(x.to(*type));
  if (c10::GradMode::is_enabled())
    return ConvFunction::apply(map, weight, bias, image_bias, residual, g.stride, g.padding, g.end_padding,
                               KeptMap(input));
  const Tensor w = weight.contiguous();
  return convolve({map, w, g}, map, w, bias, image_bias, residual,
                  cache && PackCache::is_for(weight) ? cache : nullptr);
}

}  // namespace unnoise
