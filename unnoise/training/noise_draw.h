// The random part of a training step: each picture's noise and its level.
#pragma once

#include <cstdint>
#include <vector>

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/training/noise_process.h"

namespace unnoise {

/// Changes to plain standard normal noise; 0 and false are none.
struct NoiseTricks {
  /// Adds offset * N(0,1), one number a picture and channel: the network learns to move the mean colour. Guttenberg
  /// 2023, "Diffusion with Offset Noise"; 0.1 is usual.
  double noise_offset = 0;
  /// The network sees eps + perturbation * N(0,1) and is asked for eps, so that it meets its own errors in training.
  /// Ning et al. 2023, "Input Perturbation Reduces Exposure Bias", algorithm 1; 0.1 there.
  double input_perturbation = 0;
  /// Deals the batch's noises out so that the sum of |x0 - eps|^2 is least: Li et al. 2024, "Immiscible Diffusion",
  /// algorithm 1.
  bool immiscible_noise = false;
};

struct NoiseDraw {
  Tensor eps;                   ///< [B,C,H,W]: what the network is asked for
  Tensor level;                 ///< [B], see NoiseProcess
  Tensor perturbed = {};        ///< the noise in the picture where that is another; undefined = eps
  bool self_condition = false;  ///< this step shows the network its own first answer

  const Tensor& noise_in_picture() const { return perturbed.defined() ? perturbed : eps; }
};

struct DrawOptions {
  LevelDraw level;
  NoiseTricks tricks;
  bool self_conditioning = false;  ///< on with probability one half: Chen et al. 2023, "Analog Bits", algorithm 1
};

/// Noise, offset, perturbation, levels, coin, in this order, each only when asked for: diffusers' order. One stream
/// only. Error::usage for negative or infinite numbers.
NoiseDraw draw_noise(const Tensor& x0, const NoiseProcess& process, const DrawOptions& options, Rng& rng);

/// For each row of `cost` [n,n] float32 the column that is its own, so that the sum is least: shortest augmenting paths
/// (Jonker & Volgenant 1987), O(n^3).
std::vector<int64_t> linear_assignment(const Tensor& cost);

}  // namespace unnoise
