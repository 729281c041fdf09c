#include "unnoise/nn/activation.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/mish.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>

namespace unnoise {

Tensor activate(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
    case Activation::swish:
      return at::silu(x);
    case Activation::mish:
      return at::mish(x);
    case Activation::gelu:
      return at::gelu(x);
    case Activation::relu:
      return at::relu(x);
  }
  return x;
}

}  // namespace unnoise
