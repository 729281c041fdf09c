// How noisy the pictures of a batch become: the distribution of levels in training.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/training/level_sampling.h"

namespace unnoise {

/// Unset values are the process' own: uniform for a table, logit_normal(0, 1) for a flow, (-1.2, 1.2) for EDM.
struct LevelDraw {
  std::optional<LevelSampling> sampling;
  std::optional<double> logit_mean;
  std::optional<double> logit_std;  ///< above 0
  /// One uniform number spread over the batch instead of one a picture, u_b = frac(u + b/B): Kingma et al. 2021,
  /// "Variational Diffusion Models", appendix I.1.
  bool low_discrepancy = false;
};

/// Numbers in (0,1), [B] float32: independent, or spread.
Tensor draw_uniform(const LevelDraw& how, int64_t batch, Rng& rng);

/// mean + std n with n standard normal, [B] float32; through the quantile of draw_uniform() when spread. Error::usage
/// unless std is above 0.
Tensor draw_normal(const LevelDraw& how, double mean, double std, int64_t batch, Rng& rng);

}  // namespace unnoise
