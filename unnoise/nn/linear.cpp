#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "unnoise/kernels/few_rows.h"
#include "unnoise/kernels/gemm.h"
#include "unnoise/nn/conv.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/layer_kernels.h"
#include "unnoise/nn/once_differentiable.h"
#include "unnoise/nn/time_plan.h"

namespace unnoise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Below this many rows the weights are read as they lie: to pack them would be most of the work.
constexpr auto kFewestRows = static_cast<int64_t>(TimePlan::kSteps) + 1;

/// `cache` may be null. `residual`, where given, is contiguous and of x's type.
Tensor multiply(const Tensor& x, const Tensor& w, const std::optional<Tensor>& bias, PackCache* cache,
                const OptionalTensor& residual = {}) {
  const int64_t out = w.size(0), in = w.size(1), rows = x.numel() / in;
  auto shape = x.sizes().vec();
  shape.back() = out;
  Tensor y = at::empty(shape, x.options());
  if (rows < kFewestRows && !deterministic()) {
    const Tensor x32 = x.to(at::kFloat), y32 = y.scalar_type() == at::kFloat ? y : at::empty(shape, x32.options());
    kernels::multiply_few_rows(rows, in, out, x32.const_data_ptr<float>(), w.const_data_ptr<float>(),
                               bias ? bias->const_data_ptr<float>() : nullptr, y32.mutable_data_ptr<float>());
    if (residual) y32.add_(*residual);
    return y.is_same(y32) ? y : y.copy_(y32);
  }
  if (x.scalar_type() == at::kBFloat16) {
    convolve_bf16(kernels::rows_shape(rows, in, out), x, w, bias.value_or(Tensor()), {}, residual, cache, y);
    return y;
  }
  const kernels::GemmOptions options{.bias = bias ? bias->const_data_ptr<float>() : nullptr,
                                     .residual = residual ? residual->const_data_ptr<float>() : nullptr};
  const kernels::Matrix a{x.const_data_ptr<float>(), in, 1}, b{w.const_data_ptr<float>(), 1, in};
  if (cache) {
    const Tensor packed = cache->get(w, at::kFloat, kernels::packed_size(in, out), [&](Tensor& to) {
      kernels::pack_panels(in, out, b, to.mutable_data_ptr<float>());
    });
    kernels::gemm_packed(rows, out, in, a, packed.const_data_ptr<float>(), y.mutable_data_ptr<float>(), out, options);
  } else {
    kernels::gemm(rows, out, in, a, b, y.mutable_data_ptr<float>(), out, options);
  }
  return y;
}

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x_in, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    const Tensor x = x_in.contiguous(), w = weight.contiguous();
    Tensor y = multiply(x, w, bias, nullptr);
    context->save_for_backward({x, w});
    context->saved_data["has_bias"] = bias.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& output_gradients) {
    expect_once_differentiable();
    const auto tensors = context->get_saved_variables();
    const Tensor &x = tensors[0], &w = tensors[1];
    const Tensor gradient = output_gradients[0].contiguous();
    const int64_t out = w.size(0), in = w.size(1), rows = x.numel() / in;
    Tensor dx, dw, d_bias;
    if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2))
      d_bias = image_sums(gradient.view({1, rows, 1, out}).permute({0, 3, 1, 2}))[0];
    if (x.scalar_type() == at::kBFloat16) {
      const auto shape = kernels::rows_shape(rows, in, out);
      if (context->needs_input_grad(0)) input_gradient_bf16(shape, gradient, w, dx = at::empty_like(x));
      if (context->needs_input_grad(1)) weight_gradient_bf16(shape, x, gradient, dw = at::empty_like(w));
      return {dx, dw, d_bias};
    }
    const float* dy = gradient.const_data_ptr<float>();
    if (context->needs_input_grad(0)) {
      dx = at::empty_like(x);
      kernels::gemm(rows, in, out, {dy, out, 1}, {w.const_data_ptr<float>(), in, 1}, dx.mutable_data_ptr<float>(), in);
    }
    if (context->needs_input_grad(1)) {
      dw = at::empty_like(w);
      kernels::gemm(out, in, rows, {dy, 1, out}, {x.const_data_ptr<float>(), in, 1}, dw.mutable_data_ptr<float>(), in);
    }
    return {dx, dw, d_bias};
  }
};

/// The type of x that the kernels should work on, or nothing where they should not.
std::optional<at::ScalarType> linear_type(const Tensor& x, const Tensor& weight) {
  const int64_t out = weight.size(0), in = weight.size(1);
  if (!use_fast_kernels(x) || weight.scalar_type() != at::kFloat) return std::nullopt;
  const bool autocast = at::autocast::is_autocast_enabled(at::kCPU);
  const auto type = autocast ? at::autocast::get_autocast_dtype(at::kCPU) : x.scalar_type();
  if (!autocast) return type == at::kFloat ? std::optional(type) : std::nullopt;
  const bool is_ours =
      type == at::kBFloat16 && kernels::takes_conv_bf16_gradients(kernels::rows_shape(x.numel() / in, in, out));
  return is_ours ? std::optional(type) : std::nullopt;
}

}  // namespace

Tensor linear(const Tensor& x_in, const Tensor& weight, const Tensor& bias_in, PackCache* cache,
              const Tensor& residual) {
  const auto plus_residual = [&](const Tensor& y) { return residual.defined() ? residual + y : y; };
  const auto type = linear_type(x_in, weight);
  const std::optional<Tensor> bias = bias_in.defined() ? std::optional<Tensor>(bias_in) : std::nullopt;
  if (!type)
    return plus_residual(at::linear(x_in, use_fast_kernels(x_in) ? autocast_weight(weight, cache) : weight, bias));
  const Tensor x = x_in.to(*type);
  if (c10::GradMode::is_enabled()) return plus_residual(LinearFunction::apply(x, weight, bias));
  PackCache* const packs = cache && PackCache::is_for(weight) ? cache : nullptr;
  const bool fuses = residual.defined() && residual.scalar_type() == *type;
  Tensor y =
      multiply(x.contiguous(), weight.contiguous(), bias, packs, if_defined(fuses ? residual.contiguous() : Tensor()));
  return fuses ? y : plus_residual(y);
}

}  // namespace unnoise
