// The maximum mean discrepancy of two sets under a kernel (Gretton et al. 2012): 0 when they come from one
// distribution.
#pragma once

#include <cstdint>
#include <functional>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// (x [n,D], y [m,D]) -> [n,m], float64.
using Kernel = std::function<Tensor(const Tensor& x, const Tensor& y)>;

/// (x.y / D + 1)^3, the kernel of the KID (Binkowski et al. 2018, section 3).
Tensor polynomial_kernel(const Tensor& x, const Tensor& y);

/// exp(-|x - y|^2 / (2 bandwidth^2)).
Kernel rbf_kernel(double bandwidth);

/// The median distance between two different samples of both sets together (Gretton et al. 2012, section 8), from at
/// most `most` samples of each. Never 0.
double median_distance(const Tensor& x, const Tensor& y, int64_t most = 1000, uint64_t seed = 0);

/// MMD^2 of n samples each, without bias, so it may be below 0 (Gretton et al. 2012, eq. 4): the mean of k(xi,xj) +
/// k(yi,yj) - k(xi,yj) - k(xj,yi) over i != j. Exactly 0 when x and y are the same samples in the same order.
double unbiased_mmd2(const Tensor& x, const Tensor& y, const Kernel& kernel);

struct SubsetOptions {
  int64_t count = 100;  ///< how many subsets are averaged
  int64_t size = 1000;  ///< samples of each set in one; at most half of the smaller set
  uint64_t seed = 0;
};

struct SubsetMmd {
  double value = 0;           ///< mean of unbiased_mmd2 over the subsets
  double deviation = 0;       ///< standard deviation over the subsets: what papers print after the KID's ±
  double standard_error = 0;  ///< of `value`
  int64_t subsets = 0;
  int64_t subset_size = 0;
};

/// Over random subsets of x [N,D] and y [M,D], as KID is measured. The standard error follows from the spread s over
/// subsets of m of N samples (Politis, Romano & Wolf 1999, "Subsampling"): s sqrt(m / (N - m)), where the denominator
/// accounts for what the subsets have in common; for N the smaller set counts. At least 4 samples each.
SubsetMmd subset_mmd2(const Tensor& x, const Tensor& y, const Kernel& kernel, const SubsetOptions& options = {});

}  // namespace unnoise
