// The Fréchet distance of two sets, each taken for a Gaussian: what the FID is on the Inception network's features
// (Heusel et al. 2017, eq. 6; Dowson & Landau 1982).
#pragma once

#include <cstdint>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// A set as the distance sees it.
struct Moments {
  int64_t count = 0;
  Tensor mean;        ///< [D] float64
  Tensor covariance;  ///< [D,D] float64, the sum over rows divided by count - 1
};

/// Of x [N,D], N >= 2. Error::usage for fewer rows.
Moments moments(const Tensor& x);

/// Compares any number of sets with one reference, whose square root is taken once.
class FrechetReference {
 public:
  explicit FrechetReference(const Moments& reference);

  /// |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), at least 0. The trace of the root is the sum of the roots of the
  /// eigenvalues of R C2 R, R = C1^(1/2), a symmetric matrix, so that no complex numbers arise. Features that never
  /// vary, and fewer samples than features, are fine. The estimate from finite sets is too large, by about 1/N
  /// (frechet_infinity.h).
  double distance_to(const Moments& other) const;

  const Moments& moments() const { return reference_; }

 private:
  Moments reference_;
  Tensor root_;  // [D,D]
};

/// Of x [N,D] and y [M,D].
double frechet_distance(const Tensor& x, const Tensor& y);

}  // namespace unnoise
