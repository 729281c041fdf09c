// The term of the variational bound at one timestep, for networks that learn the variance of the reverse step: Nichol &
// Dhariwal 2021, "Improved Denoising Diffusion Probabilistic Models", section 3.1.
#pragma once

#include "unnoise/nn/tensor.h"
#include "unnoise/schedulers/noise_schedule.h"

namespace unnoise {

/// [B,C,H,W] float32 but for t, [B] int64.
struct ReverseStep {
  const Tensor& x0;        ///< the picture, in [-1,1], of 256 grey levels
  const Tensor& xt;        ///< with its noise
  const Tensor& x0_seen;   ///< what the network says it is; decides the mean
  const Tensor& variance;  ///< v: log variance = f log beta + (1-f) log beta~, f = (v+1)/2 (eq. 15)
  const Tensor& t;
};

/// [B] float32, bits a dimension: KL(q(x_{t-1} | xt, x0) || p(x_{t-1} | xt)) for t > 0 (L_{t-1}, Ho et al. 2020, eq.
/// 5), and -log2 p(x0 | x1) of the discretized Gaussian at t = 0 (eq. 13 there). The table needs at least 2 timesteps.
Tensor variational_bound(const NoiseSchedule& noise, const ReverseStep& step);

}  // namespace unnoise
