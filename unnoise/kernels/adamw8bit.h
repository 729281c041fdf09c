// AdamW with running averages of 8 bits: read, moved by adam_step() in cache, written back, a chunk at a time.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "unnoise/kernels/adamw.h"

namespace unnoise::kernels {

/// Values in memory order: a code each, and for each block of 256 the largest magnitude.
struct ByteSpan {
  uint8_t* codes = nullptr;
  float* scale = nullptr;
};

/// Finds the nearest of 256 values (training/block_quantization.h says which) without a search.
class ByteMap {
 public:
  /// Ascending, the last is 1; with a 0, and where there are values below 0 they mirror those above but for 1. No two
  /// borders between neighbours above 0 may lie closer than 2^-7 of their size.
  explicit ByteMap(const std::array<float, 256>& values);

  float value(uint8_t code) const { return values_[code]; }
  /// x in [-1,1]; without values below 0 only 0 becomes 0.
  uint8_t code(float x) const;

 private:
  std::array<float, 256> values_;
  int zero_ = 0;                  ///< code of 0
  std::array<float, 257> upper_;  ///< [k]: the border between value k and k + 1 above 0, k = 0 is the value 0
  std::vector<uint8_t> guess_;    ///< by the upper 16 bits of a float: the lowest k that it may be
};

/// Of the two averages.
struct ByteMaps {
  ByteMaps(const std::array<float, 256>& exp_avg_values, const std::array<float, 256>& exp_avg_sq_values)
      : exp_avg(exp_avg_values), exp_avg_sq(exp_avg_sq_values) {}
  ByteMap exp_avg, exp_avg_sq;
};

/// adam_step() for one parameter; span.exp_avg and exp_avg_sq are not read. The result does not depend on the number of
/// threads.
void adamw8bit_step(const AdamSpan& span, const ByteSpan& exp_avg, const ByteSpan& exp_avg_sq, const ByteMaps& maps,
                    const AdamSettings& settings);

}  // namespace unnoise::kernels
