// Convolution and group norm on the kernels: tensors in, tensors out, no autograd. What the layers' functions share.
#pragma once

#include <optional>

#include "unnoise/kernels/conv3x3.h"
#include "unnoise/kernels/conv_bf16.h"
#include "unnoise/kernels/conv_direct.h"
#include "unnoise/nn/conv.h"
#include "unnoise/nn/kernel_choice.h"

namespace unnoise {

/// An undefined Tensor may not be an argument of an autograd function.
using OptionalTensor = std::optional<Tensor>;

inline OptionalTensor if_defined(const Tensor& t) { return t.defined() ? OptionalTensor(t) : std::nullopt; }

/// What both kernels know of a call.
struct ConvCall {
  kernels::ConvShape shape;

  ConvCall(const Tensor& x, const Tensor& weight, const ConvGeometry& g)
      : shape{.batch = x.size(0),
              .height = x.size(2),
              .width = x.size(3),
              .in_channels = weight.size(1),
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

/// The type of the maps that the kernels should work on for this call: float or bfloat16; nothing where they should
/// not.
std::optional<at::ScalarType> kernel_type(const Tensor& x, const Tensor& weight, const ConvGeometry& geometry);

/// x channels-last, of a type that kernel_type gave; w contiguous float32; `cache` may be null.
Tensor convolve(const ConvCall& call, const Tensor& x, const Tensor& w, const Tensor& bias,
                const OptionalTensor& image_bias, const OptionalTensor& residual, PackCache* cache);
/// y = x w + addends, of bf16 maps or rows; see kernels/conv_bf16.h.
void convolve_bf16(const kernels::ConvShape& shape, const Tensor& x, const Tensor& w, const Tensor& bias,
                   const OptionalTensor& image_bias, const OptionalTensor& residual, PackCache* cache, const Tensor& y);
/// Its gradients.
void input_gradient_bf16(const kernels::ConvShape& shape, const Tensor& gradient, const Tensor& w, const Tensor& dx);
void weight_gradient_bf16(const kernels::ConvShape& shape, const Tensor& x, const Tensor& gradient, const Tensor& dw);
/// `gradient` is that of the output, channels-last.
Tensor input_gradient(const ConvCall& call, const Tensor& gradient, const Tensor& w);
Tensor weight_gradient(const ConvCall& call, const Tensor& x, const Tensor& gradient, const Tensor& w);
/// [B,K] float32: the sum over each image's pixels.
Tensor image_sums(const Tensor& gradient);

struct NormSettings {
  int64_t groups;
  double eps;
  bool silu;
};

/// y, and the moments of each group, [B,groups] float32.
struct Normed {
  Tensor y, mean, rstd;
};
/// x channels-last; weight and bias contiguous float32.
Normed normalise(const Tensor& x, const Tensor& weight, const Tensor& bias, const NormSettings& settings);

struct NormGradients {
  Tensor x, weight, bias;
  Tensor y;  ///< normalise's, computed again
};
/// From dy, channels-last. With reuse_dy it may become the x of the result; with reuse_x, x becomes the y.
struct NormGradientsWanted {
  bool x, parameters;
  bool reuse_dy = false, y = false;
  bool reuse_x = false;  ///< for y: a pass more over it instead of a map more
};
NormGradients norm_gradients(const Tensor& x, const Normed& moments, const Tensor& weight, const Tensor& bias,
                             const NormSettings& settings, const Tensor& dy, const NormGradientsWanted& wanted);

}  // namespace unnoise
