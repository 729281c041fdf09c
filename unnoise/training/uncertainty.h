// A loss that weighs itself: u(level) learns the logarithm of the loss that is usual at each level of noise, and every
// picture's loss L becomes L / e^u + u. Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion
// Models" (EDM2), eq. 21, after Kendall et al. 2018.
#pragma once

#include "unnoise/nn/layers.h"

namespace unnoise {

/// u is linear in waves of log(sigma/alpha) at random, fixed frequencies, and 0 at first. Needed in training alone.
class Uncertainty final : public Module {
 public:
  explicit Uncertainty(Rng& init);
  /// snr [B], above 0 -> u [B] float32.
  Tensor operator()(const Tensor& snr) const;
  std::string describe() const override { return "Uncertainty"; }

 private:
  Tensor frequencies_, phases_;  // [K]
  Linear linear_;
};

}  // namespace unnoise
