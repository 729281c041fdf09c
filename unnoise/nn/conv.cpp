#include "unnoise/nn/conv.h"

#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "unnoise/kernels/conv3x3.h"
#include "unnoise/kernels/conv_direct.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/once_differentiable.h"

namespace unnoise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using OptionalTensor = std::optional<Tensor>;  // an undefined Tensor may not be an argument of a Function

OptionalTensor if_defined(const Tensor& t) { return t.defined() ? OptionalTensor(t) : std::nullopt; }

const float* data_or_null(const Tensor& t) { return t.defined() ? t.const_data_ptr<float>() : nullptr; }

/// What both kernels know of a call.
struct Call {
  kernels::ConvShape shape;

  Call(const Tensor& x, const Tensor& weight, const ConvGeometry& g)
      : shape{.batch = x.size(0),
              .height = x.size(2),
              .width = x.size(3),
              .in_channels = x.size(1),
              .out_channels = weight.size(0),
              .kernel = weight.size(2),
              .stride = g.stride,
              .padding = g.padding} {
    shape.out_height = (shape.height + g.padding + g.end_padding - shape.kernel) / g.stride + 1;
    shape.out_width = (shape.width + g.padding + g.end_padding - shape.kernel) / g.stride + 1;
  }

  kernels::Conv3x3Shape as_3x3() const {
    return {shape.batch, shape.height, shape.width, shape.in_channels, shape.out_channels};
  }
  bool is_3x3() const {
    return shape.kernel == 3 && shape.stride == 1 && shape.padding == 1 && shape.out_height == shape.height &&
           shape.out_width == shape.width && kernels::takes_conv3x3(as_3x3());
  }
};

Tensor feature_map(const kernels::ConvShape& s, int64_t channels, int64_t height, int64_t width, const Tensor& like) {
  return at::empty({s.batch, channels, height, width}, like.options(), at::MemoryFormat::ChannelsLast);
}

/// `cache` may be null.
Tensor convolve(const Call& call, const Tensor& x, const Tensor& w, const Tensor& bias,
                const OptionalTensor& image_bias_in, const OptionalTensor& residual_in, PackCache* cache) {
  const auto& s = call.shape;
  Tensor y = feature_map(s, s.out_channels, s.out_height, s.out_width, x);
  const float *in = x.const_data_ptr<float>(), *weights = w.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  if (call.is_3x3()) {
    const auto shape = call.as_3x3();
    const Tensor residual = residual_in ? channels_last(*residual_in) : Tensor();
    const Tensor image_bias = image_bias_in ? image_bias_in->contiguous() : Tensor();
    const kernels::ConvAddends addends{data_or_null(bias), data_or_null(image_bias), data_or_null(residual)};
    if (cache) {
      const Tensor packed = cache->get(w, kernels::conv3x3_packed_size(shape),
                                       [&](float* to) { kernels::pack_conv3x3(shape, weights, to); });
      kernels::conv3x3_packed(shape, in, packed.const_data_ptr<float>(), addends, out);
    } else {
      kernels::conv3x3(shape, in, weights, addends, out);
    }
    return y;
  }
  if (cache) {
    const Tensor packed = cache->get(w, kernels::conv_direct_packed_size(s),
                                     [&](float* to) { kernels::pack_conv_direct(s, weights, to); });
    kernels::conv_direct_packed(s, in, packed.const_data_ptr<float>(), data_or_null(bias), out);
  } else {
    kernels::conv_direct(s, in, weights, data_or_null(bias), out);
  }
  if (image_bias_in) y.add_(image_bias_in->unsqueeze(-1).unsqueeze(-1));
  if (residual_in) y.add_(*residual_in);
  return y;
}

struct ConvFunction : torch::autograd::Function<ConvFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_in, const Tensor& weight, const Tensor& bias,
                        const OptionalTensor& image_bias, const OptionalTensor& residual, int64_t stride,
                        int64_t padding, int64_t end_padding) {
    const Tensor x = channels_last(x_in), w = weight.contiguous();
    Tensor y = convolve({x, w, {stride, padding, end_padding}}, x, w, bias, image_bias, residual, nullptr);
    context->save_for_backward({x, w});
    auto& saved = context->saved_data;
    saved["stride"] = stride;
    saved["padding"] = padding;
    saved["end_padding"] = end_padding;
    saved["has_image_bias"] = image_bias.has_value();
    saved["has_residual"] = residual.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& output_gradients) {
    expect_once_differentiable();
    const auto tensors = context->get_saved_variables();
    const Tensor &x = tensors[0], &w = tensors[1];
    auto& saved = context->saved_data;
    const Call call(x, w, {saved["stride"].toInt(), saved["padding"].toInt(), saved["end_padding"].toInt()});
    const auto& s = call.shape;
    const Tensor gradient = channels_last(output_gradients[0]);
    const float* dy = gradient.const_data_ptr<float>();

    // Gradients are asked for by edge, and an argument that was left out has none.
    const bool has_image_bias = saved["has_image_bias"].toBool(), has_residual = saved["has_residual"].toBool();
    const bool wants_bias = context->needs_input_grad(2);
    const bool wants_image_bias = has_image_bias && context->needs_input_grad(3);
    const bool wants_residual = has_residual && context->needs_input_grad(has_image_bias ? 4 : 3);

    Tensor dx, dw, d_bias, d_image_bias, d_residual;
    if (context->needs_input_grad(0)) {
      dx = feature_map(s, s.in_channels, s.height, s.width, x);
      if (call.is_3x3())
        kernels::conv3x3_input_gradient(call.as_3x3(), dy, w.const_data_ptr<float>(), dx.mutable_data_ptr<float>());
      else
        kernels::conv_direct_input_gradient(s, dy, w.const_data_ptr<float>(), dx.mutable_data_ptr<float>());
    }
    if (context->needs_input_grad(1)) {
      dw = at::empty_like(w);
      if (call.is_3x3())
        kernels::conv3x3_weight_gradient(call.as_3x3(), x.const_data_ptr<float>(), dy, dw.mutable_data_ptr<float>());
      else
        kernels::conv_direct_weight_gradient(s, x.const_data_ptr<float>(), dy, dw.mutable_data_ptr<float>());
    }
    if (wants_bias || wants_image_bias) {
      d_image_bias = at::empty({s.batch, s.out_channels}, w.options());
      kernels::pixel_sums(s.batch, s.out_height * s.out_width, s.out_channels, dy,
                          d_image_bias.mutable_data_ptr<float>());
      if (wants_bias) d_bias = d_image_bias.sum(0);
      if (!wants_image_bias) d_image_bias = Tensor();
    }
    if (wants_residual) d_residual = gradient;
    return {dx, dw, d_bias, d_image_bias, d_residual, Tensor(), Tensor(), Tensor()};
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

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvGeometry& g, const ConvSums& sums,
              PackCache* cache) {
  const bool fast = use_fast_kernels(x) && x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat &&
                    !at::autocast::is_autocast_enabled(at::kCPU) && weight.size(2) <= 7;
  if (!fast) return plain_conv2d(x, weight, bias, g, sums);
  const auto image_bias = if_defined(sums.image_bias), residual = if_defined(sums.residual);
  if (c10::GradMode::is_enabled())
    return ConvFunction::apply(x, weight, bias, image_bias, residual, g.stride, g.padding, g.end_padding);
  const Tensor map = channels_last(x), w = weight.contiguous();
  return convolve({map, w, g}, map, w, bias, image_bias, residual,
                  cache && PackCache::is_for(weight) ? cache : nullptr);
}

}  // namespace unnoise
