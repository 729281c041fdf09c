// The kernel distance: what the KID is on the Inception network's features (Binkowski et al. 2018).
#pragma once

#include "unnoise/metrics/mmd.h"

namespace unnoise {

/// The mean unbiased MMD^2 with the cubic polynomial kernel over subsets of the features x [N,D] and y [M,D]. Unlike
/// the Fréchet distance its expectation does not depend on the number of samples.
inline SubsetMmd kernel_distance(const Tensor& x, const Tensor& y, const SubsetOptions& options = {}) {
  return subset_mmd2(x, y, polynomial_kernel, options);
}

}  // namespace unnoise
