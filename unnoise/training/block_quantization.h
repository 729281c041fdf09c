// Numbers in 8 bits each: block-wise dynamic quantization (Dettmers et al. 2022, "8-bit Optimizers via Block-wise
// Quantization", sections 2.1 and 2.2).
#pragma once

#include <array>
#include <cstdint>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// The 256 values that a byte stands for, ascending in [-1,1] (signed) or [0,1]: seven decades down from 1, each with
/// twice the values of the one below, in its means; and 0 and 1. bitsandbytes' create_dynamic_map().
std::array<float, 256> dynamic_map(bool is_signed);

/// Values of one sign share a map, values of one block a scale: 2 + 1/32 bytes for Adam's two averages instead of 8.
constexpr int64_t kQuantizationBlock = 256;

struct Quantized {
  Tensor codes;  ///< uint8, of the values' shape
  Tensor scale;  ///< [blocks] float32: the largest magnitude of each block of 256 in memory order
};

/// Zeros of `like`'s shape, layout and device.
Quantized quantized_zeros(const Tensor& like, bool is_signed);
/// The nearest codes, into `to`. x: float32, laid out as `to.codes`. Of unsigned values only 0 becomes 0: Adam divides
/// by their root, and a step over a root that was rounded to 0 would be without bounds (Li et al. 2023, "Memory
/// Efficient Optimizers with 4-bit States", section 4.1).
void quantize(const Tensor& x, bool is_signed, const Quantized& to);
/// float32, laid out as q.codes.
Tensor dequantized(const Quantized& q, bool is_signed);

}  // namespace unnoise
