// Geometric changes of the training pictures of which the network is told, so that it learns from them and yet draws
// pictures without them: non-leaking augmentation, Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based
// Generative Models", appendix F.2, table 6.
#pragma once

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

constexpr int64_t kAugmentLabels = 9;

struct Augmented {
  Tensor x0;      ///< [B,C,H,W]
  Tensor labels;  ///< [B,9] float32: how each picture was changed; 0 = not at all, as when sampling
};

/// Each change happens to each picture with probability p: mirrored in x, in y; scaled by 2^(0.2 n); turned by any
/// angle; stretched by 2^(0.2 n) along a random direction; moved by 0.125 n of its size in x and y (n ~ N(0,1)).
/// Bilinear, with the picture mirrored beyond its edges. x0 [B,C,H,W]; at least 2 pixels a side. One stream only.
Augmented augment(const Tensor& x0, double p, Rng& rng);

/// The labels as what UNet2D adds to its time embedding, [B,temb_channels]: the first channels, the others 0.
Tensor augment_embedding(const Tensor& labels, int64_t temb_channels);

}  // namespace unnoise
