// The two number types that kernels read and write. All arithmetic inside a kernel is float32.
#pragma once

#include <bit>
#include <cstdint>

namespace unnoise::kernels {

/// bfloat16 as it lies in memory (at::BFloat16 has the same bits).
struct bf16 {
  uint16_t bits;
};

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

/// Nearest, ties to even; NaN stays NaN.
inline bf16 to_bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return {static_cast<uint16_t>((bits >> 16) | 0x40U)};
  return {static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

}  // namespace unnoise::kernels
