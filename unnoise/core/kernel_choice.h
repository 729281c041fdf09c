// The two kinds of arithmetic on the processor, by name. What they mean stands in nn/kernel_choice.h.
#pragma once

#include <array>
#include <string_view>
#include <utility>

namespace unnoise {

enum class Kernels {
  plain,  ///< LibTorch's operators: the twin that every kernel is measured against
  fast,   ///< ours, where there is one for the layer's shape and the tensors are float32 or bfloat16 on the processor
};
constexpr auto enum_names(Kernels) {
  using Row = std::pair<Kernels, std::string_view>;
  return std::array{Row{Kernels::plain, "plain"}, Row{Kernels::fast, "fast"}};
}

}  // namespace unnoise
