// The activations that a checkpoint's act_fn may name.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "unnoise/nn/tensor.h"

namespace unnoise {

enum class Activation { silu, swish, mish, gelu, relu };

constexpr auto enum_names(Activation) {
  using enum Activation;
  using Row = std::pair<Activation, std::string_view>;
  return std::array{Row{silu, "silu"}, Row{swish, "swish"}, Row{mish, "mish"}, Row{gelu, "gelu"}, Row{relu, "relu"}};
}

/// `x` element by element; swish is silu, gelu is the exact one (by erf).
Tensor activate(const Tensor& x, Activation activation);

}  // namespace unnoise
