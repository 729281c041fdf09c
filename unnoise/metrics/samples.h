// What every metric works on: two sets of samples, a row each. A row is a picture's features, or its pixels.
#pragma once

#include <cstdint>
#include <string_view>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// x [N,D] of any dtype as a contiguous float64 matrix on the CPU. Throws Error::usage, naming `metric`, unless N is at
/// least `least` and all values are finite.
Tensor samples_matrix(const Tensor& x, std::string_view metric, int64_t least = 1);

/// The same for two sets of one width D.
struct SamplePair {
  Tensor x;  ///< [N,D] float64
  Tensor y;  ///< [M,D] float64
};
SamplePair sample_pair(const Tensor& x, const Tensor& y, std::string_view metric, int64_t least = 1);

}  // namespace unnoise
