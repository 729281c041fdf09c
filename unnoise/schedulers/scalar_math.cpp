#include "unnoise/schedulers/scalar_math.h"

#include <ATen/ops/scalar_tensor.h>

#include "unnoise/nn/tensor.h"

namespace unnoise {
namespace {

Tensor tensor_of(float x) { return at::scalar_tensor(x, at::kFloat); }

}  // namespace

float torch_sqrt(float x) { return tensor_of(x).sqrt_().item<float>(); }
float torch_log(float x) { return tensor_of(x).log_().item<float>(); }
float torch_exp(float x) { return tensor_of(x).exp_().item<float>(); }
float torch_expm1(float x) { return tensor_of(x).expm1_().item<float>(); }

}  // namespace unnoise
