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

/// Maps are float or bf16, everything else is float32.
template <class T>
const T* data(const Tensor& t) {
  return static_cast<const T*>(t.const_data_ptr());
}
template <class T>
T* mutable_data(const Tensor& t) {
  return static_cast<T*>(t.mutable_data_ptr());
}
template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? data<T>(t) : nullptr;
}

/// Calls f(T()) with the type of x's elements.
template <class F>
void with_type_of(const Tensor& x, const F& f) {
  x.scalar_type() == at::kBFloat16 ? f(kernels::bf16()) : f(float());
}

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
    return {shape.batch, shape.height, shape.width, shape.in_channels, shape.out_channels, deterministic()};
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
template <class T>
void convolve_3x3(const Call& call, const Tensor& x, const Tensor& w, const Tensor& bias,
                  const OptionalTensor& image_bias_in, const OptionalTensor& residual_in, PackCache* cache,
                  const Tensor& y) {
  const auto shape = call.as_3x3();
  const Tensor residual = residual_in ? channels_last(*residual_in) : Tensor();
  const Tensor image_bias = image_bias_in ? image_bias_in->contiguous() : Tensor();
  const kernels::ConvAddends<T> addends{data_or_null<float>(bias), data_or_null<float>(image_bias),
                                        data_or_null<T>(residual)};
  if (!cache) return kernels::conv3x3(shape, data<T>(x), data<float>(w), addends, mutable_data<T>(y));
  const Tensor packed = cache->get(w, kernels::conv3x3_packed_size(shape),
                                   [&](float* to) { kernels::pack_conv3x3(shape, data<float>(w), to); });
  kernels::conv3x3_packed(shape, data<T>(x), data<float>(packed), addends, mutable_data<T>(y));
}

void convolve_directly(const Call& call, const Tensor& x, const Tensor& w, const Tensor& bias, PackCache* cache,
                       const Tensor& y) {
  const auto& s = call.shape;
  if (!cache)
    return kernels::conv_direct(s, data<float>(x), data<float>(w), data_or_null<float>(bias), mutable_data<float>(y));
  const Tensor packed = cache->get(w, kernels::conv_direct_packed_size(s),
                                   [&](float* to) { kernels::pack_conv_direct(s, data<float>(w), to); });
  kernels::conv_direct_packed(s, data<float>(x), data<float>(packed), data_or_null<float>(bias),
                              mutable_data<float>(y));
}

/// `cache` may be null.
Tensor convolve(const Call& call, const Tensor& x, const Tensor& w, const Tensor& bias,
                const OptionalTensor& image_bias, const OptionalTensor& residual, PackCache* cache) {
  const auto& s = call.shape;
  Tensor y = feature_map(s, s.out_channels, s.out_height, s.out_width, x);
  if (call.is_3x3()) {
    with_type_of(x, [&]<class T>(T) { convolve_3x3<T>(call, x, w, bias, image_bias, residual, cache, y); });
    return y;
  }
  convolve_directly(call, x, w, bias, cache, y);
  if (image_bias) y.add_(image_bias->unsqueeze(-1).unsqueeze(-1));
  if (residual) y.add_(*residual);
  return y;
}

Tensor input_gradient(const Call& call, const Tensor& gradient, const Tensor& w) {
  const auto& s = call.shape;
  Tensor dx = feature_map(s, s.in_channels, s.height, s.width, gradient);
  if (call.is_3x3())
    with_type_of(gradient, [&]<class T>(T) {
      kernels::conv3x3_input_gradient(call.as_3x3(), data<T>(gradient), data<float>(w), mutable_data<T>(dx));
    });
  else
    kernels::conv_direct_input_gradient(s, data<float>(gradient), data<float>(w), mutable_data<float>(dx));
  return dx;
}

Tensor weight_gradient(const Call& call, const Tensor& x, const Tensor& gradient, const Tensor& w) {
  Tensor dw = at::empty_like(w);
  if (call.is_3x3())
    with_type_of(x, [&]<class T>(T) {
      kernels::conv3x3_weight_gradient(call.as_3x3(), data<T>(x), data<T>(gradient), mutable_data<float>(dw));
    });
  else
    kernels::conv_direct_weight_gradient(call.shape, data<float>(x), data<float>(gradient), mutable_data<float>(dw));
  return dw;
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

    // Gradients are asked for by edge, and an argument that was left out has none.
    const bool has_image_bias = saved["has_image_bias"].toBool(), has_residual = saved["has_residual"].toBool();
    const bool wants_bias = context->needs_input_grad(2);
    const bool wants_image_bias = has_image_bias && context->needs_input_grad(3);
    const bool wants_residual = has_residual && context->needs_input_grad(has_image_bias ? 4 : 3);

    Tensor dx, dw, d_bias, d_image_bias, d_residual;
    if (context->needs_input_grad(0)) dx = input_gradient(call, gradient, w);
    if (context->needs_input_grad(1)) dw = weight_gradient(call, x, gradient, w);
    if (wants_bias || wants_image_bias) {
      d_image_bias = at::empty({s.batch, s.out_channels}, w.options());
      with_type_of(gradient, [&]<class T>(T) {
        kernels::pixel_sums(s.batch, s.out_height * s.out_width, s.out_channels, data<T>(gradient),
                            mutable_data<float>(d_image_bias));
      });
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

/// The type of the maps that the kernels should work on for this call: float or bfloat16; nothing where they should
/// not.
std::optional<at::ScalarType> kernel_type(const Tensor& x, const Tensor& weight, const ConvGeometry& g) {
  if (!use_fast_kernels(x) || weight.scalar_type() != at::kFloat || weight.size(2) > 7) return std::nullopt;
  const bool autocast = at::autocast::is_autocast_enabled(at::kCPU);
  const auto type = autocast ? at::autocast::get_autocast_dtype(at::kCPU) : x.scalar_type();
  if (type == at::kFloat) return type;
  // In half precision LibTorch's direct convolution is good where Winograd's does not fit.
  return autocast && type == at::kBFloat16 && Call(x, weight, g).is_3x3() ? std::optional(type) : std::nullopt;
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvGeometry& g, const ConvSums& sums,
              PackCache* cache) {
  const auto type = kernel_type(x, weight, g);
  if (!type) return plain_conv2d(x, weight, bias, g, sums);
  const auto image_bias = if_defined(sums.image_bias.defined() ? sums.image_bias.to(at::kFloat) : Tensor());
  const auto residual = if_defined(sums.residual.defined() ? sums.residual.to(*type) : Tensor());
  const Tensor map = channels_last(x.to(*type));
  if (c10::GradMode::is_enabled())
    return ConvFunction::apply(map, weight, bias, image_bias, residual, g.stride, g.padding, g.end_padding);
  const Tensor w = weight.contiguous();
  return convolve({map, w, g}, map, w, bias, image_bias, residual,
                  cache && PackCache::is_for(weight) ? cache : nullptr);
}

}  // namespace unnoise
