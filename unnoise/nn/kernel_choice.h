// Which arithmetic the layers use on the processor: LibTorch's operators, or the loops of kernels/.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "unnoise/nn/tensor.h"

namespace unnoise {

enum class Kernels {
  plain,  ///< LibTorch's operators: the twin that every kernel is measured against
  fast,   ///< ours, where there is one for the layer's shape and the tensors are float32 or bfloat16 on the processor
};
constexpr auto enum_names(Kernels) {
  using Row = std::pair<Kernels, std::string_view>;
  return std::array{Row{Kernels::plain, "plain"}, Row{Kernels::fast, "fast"}};
}

/// Of the whole process, as at::set_num_threads: results of the two agree to rounding, so it is a setting of the
/// machine and no part of a model. fast unless set.
Kernels kernels();
void set_kernels(Kernels choice);

/// Whether a layer should take its fast way for `x`: the choice is fast, and x is on the processor and of a type that
/// the kernels take.
bool use_fast_kernels(const Tensor& x);

/// The layout of feature maps that the fast kernels work in, [B,C,H,W] with the channels of a pixel side by side
/// (torch.channels_last); a map that has it already is passed on.
Tensor channels_last(const Tensor& x);

}  // namespace unnoise
