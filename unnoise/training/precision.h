// The arithmetic of the network by name.
#pragma once

#include <array>
#include <utility>

namespace unnoise {

/// The names of diffusers' --mixed_precision.
enum class Precision { no, fp16, bf16 };
constexpr auto enum_names(Precision) {
  return std::array{std::pair{Precision::no, "no"}, std::pair{Precision::fp16, "fp16"},
                    std::pair{Precision::bf16, "bf16"}};
}

}  // namespace unnoise
