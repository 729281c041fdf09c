// Bits a dimension of pictures under a trained model.
#pragma once

#include "unnoise/pipelines/unconditional.h"
#include "unnoise/schedulers/likelihood.h"

namespace unnoise {

struct PictureLikelihood {
  Tensor bits_per_dim;  ///< [B] float64
  int64_t model_calls = 0;
};

/// images [B,C,H,W] in [-1,1], of 256 levels (8-bit pixels); they are dequantized with `rng`. class_labels [B] int64,
/// or undefined. `options.sigma_min` and `sigma_max` of 0 mean the ends of the model's own table. Error::usage when the
/// pictures do not fit the network.
PictureLikelihood likelihood(const Unconditional& pipe, const Tensor& images, LikelihoodOptions options, Rng& rng,
                             const Tensor& class_labels = {});

}  // namespace unnoise
