// The sliced Wasserstein distance (Rabin et al. 2012; Bonneel et al. 2015): sets compared along random directions, in
// each of which the best transport is sorting.
#pragma once

#include <cstdint>

#include "unnoise/nn/tensor.h"

namespace unnoise {

struct SlicedWassersteinOptions {
  int64_t directions = 256;
  uint64_t seed = 0;
};

/// Both sets along the same random unit directions, [directions,n] float64; n is the size of the smaller set, and of
/// the larger as many rows are drawn.
struct Slices {
  Tensor x;
  Tensor y;
};
Slices slice(const Tensor& x, const Tensor& y, const SlicedWassersteinOptions& options = {});

/// SW_2 = the root of the mean over directions of the mean squared difference of the sorted values. Two sets of one
/// distribution are not at 0 but at about what two halves of a set have; compare with that. In units of x.
double sliced_wasserstein(const Slices& slices);
/// Of x [N,D] and y [M,D].
double sliced_wasserstein(const Tensor& x, const Tensor& y, const SlicedWassersteinOptions& options = {});

}  // namespace unnoise
