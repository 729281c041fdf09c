// How probable a picture is under a model: the probability-flow ODE carries it to noise, whose density is known, and
// the change of volume on the way is the integral of a divergence.
//
//   log p(y_min) = log p_noise(y_max) + integral of div f dtau,   dy/dtau = f = y - D(y, sigma),   tau = log sigma
// Song et al. 2021, "Score-Based Generative Modeling through SDEs", eq. 39; the divergence is estimated as v' (df/dy) v
// with random signs v, Hutchinson 1989 (unbiased; exact where the Jacobian is diagonal).
#pragma once

#include <functional>

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/schedulers/dormand_prince.h"

namespace unnoise {

/// The clean picture that a model sees in y = x0 + sigma eps, [B,C,H,W]; differentiable in y.
using Denoiser = std::function<Tensor(const Tensor& y, double sigma)>;

struct LikelihoodOptions {
  double sigma_min = 0;  ///< the picture counts as one with noise of this size, as in the paper
  double sigma_max = 0;  ///< where the density is that of N(0, 1 + sigma_max^2)
  OdeTolerance tolerance{.rtol = 1e-4, .atol = 1e-4};
  int64_t probes = 1;  ///< random signs averaged in each divergence; drawn once, so that the ODE is smooth
};

struct Likelihood {
  Tensor log_p;             ///< [B] float64, natural logarithm of the density
  int64_t model_calls = 0;  ///< each with a derivative, which costs about twice a call
};

/// x [B,C,H,W] float32. Error::usage when not 0 < sigma_min < sigma_max, or without a probe.
Likelihood log_likelihood(const Denoiser& denoise, const Tensor& x, const LikelihoodOptions& options, Rng& rng);

/// Bits that a picture of 8-bit pixels costs a dimension: -log2 of the probability mass of a pixel's bin, which is
/// 2/256 wide in [-1,1]. log_p [B] of pictures made continuous by dequantized(); dimensions = C H W.
Tensor bits_per_dim(const Tensor& log_p, int64_t dimensions);

/// Pictures of 256 levels in [-1,1] as (level + u) / 128 - 1, u uniform in [0,1): a density cannot have grid points.
Tensor dequantized(const Tensor& images, Rng& rng);

}  // namespace unnoise
