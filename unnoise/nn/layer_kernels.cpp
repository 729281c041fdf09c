#include "unnoise/nn/layer_kernels.h"

#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>

#include "unnoise/kernels/group_norm.h"

namespace unnoise {
namespace {

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

Tensor feature_map(const kernels::ConvShape& s, int64_t channels, int64_t height, int64_t width, const Tensor& like) {
  return at::empty({s.batch, channels, height, width}, like.options(), at::MemoryFormat::ChannelsLast);
}

/// `cache` may be null.
template <class T>
void convolve_3x3(const ConvCall& call, const Tensor& x, const Tensor& w, const Tensor& bias,
                  const OptionalTensor& image_bias_in, const OptionalTensor& residual_in, PackCache* cache,
                  const Tensor& y) {
  const auto shape = call.as_3x3();
  const Tensor residual = residual_in ? channels_last(*residual_in) : Tensor();
  const Tensor image_bias = image_bias_in ? image_bias_in->contiguous() : Tensor();
  const kernels::ConvAddends<T> addends{data_or_null<float>(bias), data_or_null<float>(image_bias),
                                        data_or_null<T>(residual)};
  if constexpr (std::is_same_v<T, kernels::bf16>)
    if (const int64_t size = cache ? kernels::conv3x3_packed_size(shape) : 0; size > 0) {
      const Tensor packed = cache->get(w, at::kBFloat16, size, [&](Tensor& to) {
        kernels::pack_conv3x3(shape, data<float>(w), mutable_data<T>(to));
      });
      return kernels::conv3x3_packed(shape, data<T>(x), data<T>(packed), addends, mutable_data<T>(y));
    }
  kernels::conv3x3(shape, data<T>(x), data<float>(w), addends, mutable_data<T>(y));
}

void convolve_directly(const ConvCall& call, const Tensor& x, const Tensor& w, const Tensor& bias, PackCache* cache,
                       const Tensor& y) {
  const auto& s = call.shape;
  if (!cache)
    return kernels::conv_direct(s, data<float>(x), data<float>(w), data_or_null<float>(bias), mutable_data<float>(y));
  const Tensor packed = cache->get(w, at::kFloat, kernels::conv_direct_packed_size(s), [&](Tensor& to) {
    kernels::pack_conv_direct(s, data<float>(w), mutable_data<float>(to));
  });
  kernels::conv_direct_packed(s, data<float>(x), data<float>(packed), data_or_null<float>(bias),
                              mutable_data<float>(y));
}

kernels::GroupNormShape norm_shape(const Tensor& x, int64_t groups) {
  return {x.size(0), x.size(2) * x.size(3), x.size(1), groups};
}

}  // namespace

std::optional<at::ScalarType> kernel_type(const Tensor& x, const Tensor& weight, const ConvGeometry& g) {
  if (!use_fast_kernels(x) || weight.scalar_type() != at::kFloat || weight.size(2) > 7) return std::nullopt;
  const bool autocast = at::autocast::is_autocast_enabled(at::kCPU);
  const auto type = autocast ? at::autocast::get_autocast_dtype(at::kCPU) : x.scalar_type();
  if (type == at::kFloat) return type;
  if (!autocast || type != at::kBFloat16) return std::nullopt;
  const ConvCall call(x, weight, g);
  const bool is_ours = call.is_3x3() || (c10::GradMode::is_enabled() ? kernels::takes_conv_bf16_gradients(call.shape)
                                                                     : kernels::takes_conv_bf16(call.shape));
  return is_ours ? std::optional(type) : std::nullopt;
}

void convolve_bf16(const kernels::ConvShape& shape, const Tensor& x, const Tensor& w, const Tensor& bias,
                   const OptionalTensor& image_bias_in, const OptionalTensor& residual_in, PackCache* cache,
                   const Tensor& y) {
  using kernels::bf16;
  const bool is_map = x.dim() == 4;
  const Tensor residual = residual_in && is_map ? channels_last(*residual_in) : residual_in.value_or(Tensor());
  const Tensor image_bias = image_bias_in ? image_bias_in->contiguous() : Tensor();
  Tensor packed;
  if (cache)
    packed = cache->get(w, at::kBFloat16, kernels::conv_bf16_packed_size(shape),
                        [&](Tensor& to) { kernels::pack_conv_bf16(shape, data<float>(w), mutable_data<bf16>(to)); });
  kernels::conv_bf16(shape, data<bf16>(x), data<float>(w), data_or_null<bf16>(packed),
                     {data_or_null<float>(bias), data_or_null<float>(image_bias), data_or_null<bf16>(residual)},
                     mutable_data<bf16>(y));
}

void input_gradient_bf16(const kernels::ConvShape& s, const Tensor& gradient, const Tensor& w, const Tensor& dx) {
  using kernels::bf16;
  kernels::conv_bf16_input_gradient(s, data<bf16>(gradient), data<float>(w), mutable_data<bf16>(dx));
}

void weight_gradient_bf16(const kernels::ConvShape& s, const Tensor& x, const Tensor& gradient, const Tensor& dw) {
  using kernels::bf16;
  kernels::conv_bf16_weight_gradient(s, data<bf16>(x), data<bf16>(gradient), mutable_data<float>(dw));
}

Tensor convolve(const ConvCall& call, const Tensor& x, const Tensor& w, const Tensor& bias,
                const OptionalTensor& image_bias, const OptionalTensor& residual, PackCache* cache) {
  const auto& s = call.shape;
  Tensor y = feature_map(s, s.out_channels, s.out_height, s.out_width, x);
  if (call.is_3x3()) {
    with_type_of(x, [&]<class T>(T) { convolve_3x3<T>(call, x, w, bias, image_bias, residual, cache, y); });
    return y;
  }
  if (x.scalar_type() == at::kBFloat16) {
    convolve_bf16(s, x, w, bias, image_bias, residual, cache, y);
    return y;
  }
  convolve_directly(call, x, w, bias, cache, y);
  if (image_bias) y.add_(image_bias->unsqueeze(-1).unsqueeze(-1));
  if (residual) y.add_(*residual);
  return y;
}

Tensor input_gradient(const ConvCall& call, const Tensor& gradient, const Tensor& w) {
  const auto& s = call.shape;
  Tensor dx = feature_map(s, s.in_channels, s.height, s.width, gradient);
  if (call.is_3x3())
    with_type_of(gradient, [&]<class T>(T) {
      kernels::conv3x3_input_gradient(call.as_3x3(), data<T>(gradient), data<float>(w), mutable_data<T>(dx));
    });
  else if (gradient.scalar_type() == at::kBFloat16)
    input_gradient_bf16(s, gradient, w, dx);
  else
    kernels::conv_direct_input_gradient(s, data<float>(gradient), data<float>(w), mutable_data<float>(dx));
  return dx;
}

Tensor weight_gradient(const ConvCall& call, const Tensor& x, const Tensor& gradient, const Tensor& w) {
  Tensor dw = at::empty_like(w);
  if (call.is_3x3())
    with_type_of(x, [&]<class T>(T) {
      kernels::conv3x3_weight_gradient(call.as_3x3(), data<T>(x), data<T>(gradient), mutable_data<float>(dw));
    });
  else if (x.scalar_type() == at::kBFloat16 && kernels::takes_conv_bf16_gradients(call.shape))
    weight_gradient_bf16(call.shape, x, gradient, dw);
  else {  // also of bf16: the parts of a joined map may have channels that only the whole has in multiples of 16
    const Tensor x32 = x.to(at::kFloat), gradient32 = gradient.to(at::kFloat);
    kernels::conv_direct_weight_gradient(call.shape, data<float>(x32), data<float>(gradient32),
                                         mutable_data<float>(dw));
  }
  return dw;
}

Tensor image_sums(const Tensor& gradient) {
  const int64_t batch = gradient.size(0), channels = gradient.size(1), pixels = gradient.size(2) * gradient.size(3);
  Tensor sums = at::empty({batch, channels}, gradient.options().dtype(at::kFloat));
  with_type_of(gradient, [&]<class T>(T) {
    kernels::pixel_sums(batch, pixels, channels, data<T>(gradient), mutable_data<float>(sums));
  });
  return sums;
}

Normed normalise(const Tensor& x, const Tensor& weight, const Tensor& bias, const NormSettings& s) {
  Normed out{
      at::empty_like(x), at::empty({x.size(0), s.groups}, x.options().dtype(at::kFloat).requires_grad(false)), {}};
  out.rstd = at::empty_like(out.mean);
  with_type_of(x, [&]<class T>(T) {
    kernels::group_norm(norm_shape(x, s.groups), data<T>(x), data<float>(weight), data<float>(bias), s.eps, s.silu,
                        mutable_data<T>(out.y), mutable_data<float>(out.mean), mutable_data<float>(out.rstd));
  });
  return out;
}

NormGradients norm_gradients(const Tensor& x, const Normed& moments, const Tensor& weight, const Tensor& bias,
                             const NormSettings& s, const Tensor& dy, const NormGradientsWanted& wanted) {
  NormGradients out;
  if (wanted.x) out.x = wanted.reuse_dy ? dy : at::empty_like(x);
  if (wanted.parameters) {
    out.weight = at::empty_like(weight);
    out.bias = at::empty_like(bias);
  }
  const bool y_in_x = wanted.y && wanted.reuse_x;
  if (wanted.y) out.y = y_in_x ? x : at::empty_like(x);
  with_type_of(x, [&]<class T>(T) {
    const auto or_null = [](auto zero, const Tensor& t) {
      return t.defined() ? mutable_data<decltype(zero)>(t) : nullptr;
    };
    const kernels::GroupNormSaved<T> kept{data<T>(x),          data<float>(moments.mean), data<float>(moments.rstd),
                                          data<float>(weight), data<float>(bias),         s.silu};
    kernels::group_norm_backward<T>(norm_shape(x, s.groups), kept, data<T>(dy), or_null(T{}, out.x),
                                    or_null(0.0F, out.weight), or_null(0.0F, out.bias),
                                    y_in_x ? nullptr : or_null(T{}, out.y));
    if (y_in_x) kernels::group_norm_again(norm_shape(x, s.groups), kept, mutable_data<T>(out.y));
  });
  return out;
}

}  // namespace unnoise
