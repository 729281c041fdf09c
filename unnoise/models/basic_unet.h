// BasicUNet: the smallest network that still has a UNet's shape. Six convolutions, no norm, no attention, and nothing
// tells it how noisy its input is: what one writes first when one builds diffusion from scratch.
#pragma once

#include "unnoise/nn/layers.h"

namespace unnoise {

struct BasicUNetOptions {
  int64_t in_channels = 1;
  int64_t out_channels = 1;
};

/// Three 5x5 convolutions down (32, 64, 64 channels) with 2x2 max pooling between them, three up with nearest
/// neighbour; on the way up the maps of the same size on the way down are added (Ronneberger et al. 2015 append them).
/// SiLU after every convolution, the last one too, so an output is never below -0.28. 309,057 parameters for one
/// channel. Keys: down_layers.0 to .2, up_layers.0 to .2.
class BasicUNet final : public Module {
 public:
  /// Draws the weights from `init` as torch.nn.Conv2d does, first to last; with nullptr they are left unset, to be
  /// loaded.
  BasicUNet(const BasicUNetOptions& options, Rng* init);

  /// x [B,in_channels,H,W], H and W multiples of 4 -> [B,out_channels,H,W]. Throws Error::usage for other sizes.
  Tensor operator()(const Tensor& x) const;

  const BasicUNetOptions& options() const { return options_; }
  std::string describe() const override { return "BasicUNet"; }

 private:
  BasicUNetOptions options_;
  ModuleList<Conv2d> down_layers_, up_layers_;
};

}  // namespace unnoise
