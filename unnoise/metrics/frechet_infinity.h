// The Fréchet distance that infinitely many generated pictures would have (Chong & Forsyth 2020, "Effectively unbiased
// FID and Inception Score and where to find them").
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "unnoise/metrics/frechet_distance.h"

namespace unnoise {

struct FrechetInfinity {
  double value = 0;               ///< the line's value at 1/n = 0; noise may take it below 0
  double slope = 0;               ///< of the distance over 1/n
  std::vector<int64_t> sizes;     ///< n
  std::vector<double> distances;  ///< of n generated samples each
};

struct FrechetInfinityOptions {
  int64_t points = 15;  ///< as in the paper
  uint64_t seed = 0;    ///< of the choice of samples
};

/// The fewest samples of width D from which the line can be drawn: 4 D. With fewer samples than features the bias is
/// not yet a straight line over 1/n.
int64_t frechet_infinity_needs(int64_t width);

/// The distance falls as 1/n towards its limit: it is measured for `points` evenly spaced n from max(N/10, 2 D) to N,
/// each on samples drawn anew from generated [N,D], and a straight line over 1/n is continued to 0 (least squares).
/// Nothing when N is below frechet_infinity_needs(D). What the reference's own finite size adds remains.
std::optional<FrechetInfinity> frechet_infinity(const FrechetReference& reference, const Tensor& generated,
                                                const FrechetInfinityOptions& options = {});

}  // namespace unnoise
