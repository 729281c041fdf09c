// The choice of --mixed-precision, by the names of diffusers' script.
#pragma once

#include <array>
#include <utility>

namespace unnoise {

enum class MixedPrecision { no, fp16, bf16 };
constexpr auto enum_names(MixedPrecision) {
  return std::array{std::pair{MixedPrecision::no, "no"}, std::pair{MixedPrecision::fp16, "fp16"},
                    std::pair{MixedPrecision::bf16, "bf16"}};
}

}  // namespace unnoise
