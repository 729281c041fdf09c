// Density and coverage (Naeem et al. 2020): precision and recall that one stray picture cannot move.
#pragma once

#include <cstdint>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Scores a sample, whose means are the numbers.
struct DensityCoverage {
  Tensor balls;    ///< [M] float64: in how many real samples' balls the generated one lies, over k. Mean: density
  Tensor reached;  ///< [N] float64: 1 where a generated sample lies in the real one's ball. Mean: coverage

  double density() const;   ///< about 1 for the real distribution; more where only the densest part is drawn
  double coverage() const;  ///< at most 1; 1 - 2^-k for the real distribution with N = M
};

/// real [N,D], generated [M,D]; a real sample's ball reaches to its k-th nearest other real sample (eq. 3 and 4). At
/// least k + 1 real samples.
DensityCoverage density_coverage(const Tensor& real, const Tensor& generated, int64_t k = 5);

}  // namespace unnoise
