// Halving and doubling the resolution.
#pragma once

#include <array>
#include <optional>

#include "unnoise/nn/layers.h"

namespace unnoise {

/// How a residual block changes the resolution of its input, without weights.
enum class Resampling {
  none,
  down,      ///< mean of 2x2
  up,        ///< nearest neighbour
  down_fir,  ///< low-pass filter 1 3 3 1, then every second pixel (Karras et al. 2020, StyleGAN2)
  up_fir,    ///< zeros between the pixels, then the same filter
};

/// [B,C,H,W] -> [B,C,H/2,W/2] (rounded down), [B,C,2H,2W] or x itself.
Tensor resample(const Tensor& x, Resampling how);

/// [B,C,H,W] -> [B,C,size[0],size[1]].
Tensor nearest_resize(const Tensor& x, std::array<int64_t, 2> size);

/// A 3x3 convolution of stride 2. With padding 0 a row and a column of zeros are added at the bottom and the right
/// first.
class Downsample2D final : public Module {
 public:
  struct Options {
    int64_t in_channels = 0;
    int64_t out_channels = 0;
    int64_t padding = 1;
  };
  Downsample2D(const Options& options, Rng* init);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const override { return "Downsample2D"; }

 private:
  Conv2d conv_;
};

/// Nearest neighbour to twice the size (or to `size`), then a 3x3 convolution.
class Upsample2D final : public Module {
 public:
  Upsample2D(int64_t in_channels, int64_t out_channels, Rng* init);
  Tensor operator()(const Tensor& x, std::optional<std::array<int64_t, 2>> size = {}) const;
  std::string describe() const override { return "Upsample2D"; }

 private:
  Conv2d conv_;
};

}  // namespace unnoise
