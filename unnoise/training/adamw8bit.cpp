#include "unnoise/training/adamw8bit.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>

#include "unnoise/kernels/adamw8bit.h"
#include "unnoise/nn/kernel_choice.h"

namespace unnoise {
namespace {

/// The loops walk over memory.
bool kernel_fits(const Tensor& parameter, const Tensor& gradient) {
  return kernel_choice() == Kernels::fast && parameter.is_cpu() && parameter.scalar_type() == at::kFloat &&
         gradient.scalar_type() == at::kFloat && parameter.is_non_overlapping_and_dense();
}

kernels::ByteSpan bytes(const Quantized& q) { return {q.codes.data_ptr<uint8_t>(), q.scale.data_ptr<float>()}; }

}  // namespace

AdamW8bit::AdamW8bit(const Tensor& parameter)
    : step_(at::zeros({}, parameter.options().dtype(at::kFloat))),
      exp_avg_(quantized_zeros(parameter, /*is_signed=*/true)),
      exp_avg_sq_(quantized_zeros(parameter, /*is_signed=*/false)) {}

void AdamW8bit::update(const Tensor& parameter, const Tensor& gradient, const OptimizerOptions& o) {
  step_.add_(1);
  if (!kernel_fits(parameter, gradient)) return update_with_operators(parameter, gradient, o);
  static const kernels::ByteMaps maps(dynamic_map(true), dynamic_map(false));
  const kernels::AdamSpan span{.parameter = parameter.data_ptr<float>(),
                               .gradient = gradient.const_data_ptr<float>(),
                               .count = parameter.numel(),
                               .step = step_.item<double>()};
  kernels::adamw8bit_step(span, bytes(exp_avg_), bytes(exp_avg_sq_), maps,
                          {.learning_rate = o.learning_rate,
                           .beta1 = o.beta1,
                           .beta2 = o.beta2,
                           .epsilon = o.epsilon,
                           .weight_decay = o.weight_decay});
  parameter.unsafeGetTensorImpl()->bump_version();  // the kernel wrote behind autograd's back
}

void AdamW8bit::update_with_operators(const Tensor& parameter, const Tensor& gradient, const OptimizerOptions& o) {
  const Tensor exp_avg = dequantized(exp_avg_, true).to(parameter.scalar_type());
  const Tensor exp_avg_sq = dequantized(exp_avg_sq_, false).to(parameter.scalar_type());
  at::_fused_adamw_({parameter}, {gradient}, {exp_avg}, {exp_avg_sq}, std::vector<Tensor>{}, {step_}, o.learning_rate,
                    o.beta1, o.beta2, o.weight_decay, o.epsilon, /*amsgrad=*/false, /*maximize=*/false);
  quantize(exp_avg.to(at::kFloat), true, exp_avg_);
  quantize(exp_avg_sq.to(at::kFloat), false, exp_avg_sq_);
}

StateDict AdamW8bit::state() const {
  return {{"step", step_},
          {"exp_avg.codes", exp_avg_.codes},
          {"exp_avg.scale", exp_avg_.scale},
          {"exp_avg_sq.codes", exp_avg_sq_.codes},
          {"exp_avg_sq.scale", exp_avg_sq_.scale}};
}

}  // namespace unnoise
