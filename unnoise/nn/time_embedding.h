// From a timestep to the vector that every residual block is told: a projection to waves, then a small network.
#pragma once

#include "unnoise/nn/activation.h"
#include "unnoise/nn/layers.h"

namespace unnoise {

struct SinusoidOptions {
  int64_t dim = 0;               ///< length of the embedding; odd lengths end in a zero
  bool flip_sin_to_cos = false;  ///< cosines first
  double freq_shift = 1;         ///< subtracted from dim/2 in the exponent's denominator
  double scale = 1;
  double max_period = 10000;
};

/// Sines and cosines of the timesteps at falling frequencies (Vaswani et al. 2017, section 3.5, as Ho et al. 2020 use
/// them). timesteps [B], of any dtype, may be fractional -> [B,dim] float32.
Tensor timestep_embedding(const Tensor& timesteps, const SinusoidOptions& options);

/// Sines and cosines at random, fixed frequencies (Tancik et al. 2020; Song et al. 2021): sin, cos of 2 pi w log(t).
class FourierProjection final : public Module {
 public:
  /// Frequencies w ~ N(0, scale^2). Draws dim numbers twice, as diffusers does, and keeps the second.
  FourierProjection(int64_t dim, double scale, Rng* init);
  /// [B] positive -> [B,2*dim].
  Tensor operator()(const Tensor& timesteps) const;
  std::string describe() const override;

 private:
  Tensor weight_;  // [dim], never trained
};

/// linear_1, SiLU, linear_2. [B,in] -> [B,out].
class TimestepEmbedding final : public Module {
 public:
  TimestepEmbedding(int64_t in_features, int64_t out_features, Rng* init);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const override { return "TimestepEmbedding"; }

 private:
  Linear linear_1_, linear_2_;
};

}  // namespace unnoise
