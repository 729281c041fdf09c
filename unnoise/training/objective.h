// What a network is asked to predict, and how far off it was: target, loss and weighting by timestep.
#pragma once

#include <array>
#include <optional>
#include <utility>

#include "unnoise/nn/tensor.h"
#include "unnoise/schedulers/noise_schedule.h"

namespace unnoise {

/// Distance of one predicted number from its target.
enum class LossType {
  l2,     ///< d^2
  l1,     ///< |d|
  huber,  ///< d^2/2 where |d| < 1, else |d| - 1/2 (torch's smooth L1 with beta 1)
};
constexpr auto enum_names(LossType) {
  return std::array{std::pair{LossType::l2, "l2"}, std::pair{LossType::l1, "l1"}, std::pair{LossType::huber, "huber"}};
}

/// With snr = alphas_cumprod / (1 - alphas_cumprod), each picture's loss is multiplied by
///   epsilon        1,   or min(snr, snr_gamma) / snr
///   v_prediction   1,   or min(snr, snr_gamma) / (snr + 1)
///   sample         snr, or min(snr, snr_gamma)
/// The first column is what diffusers' train_unconditional.py does. The second, Hang et al. 2023, "Efficient Diffusion
/// Training via Min-SNR Weighting Strategy", section 3.4, weighs the error of x0 by min(snr, snr_gamma) in every row.
struct Objective {
  PredictionType prediction_type = PredictionType::epsilon;
  LossType loss = LossType::l2;
  std::optional<double> snr_gamma;  ///< above 0; the paper uses 5
};

/// The factor above for each picture, [B] float32; undefined where it is 1 everywhere.
Tensor loss_weights(const Objective& objective, const NoiseSchedule& noise, const Tensor& t);

struct Loss {
  Tensor mean;        ///< 0-dim float32, with its graph: weighted mean over everything
  Tensor per_sample;  ///< [B] float32, detached: each picture's weighted mean, for a log of loss by timestep
};

/// Compares what the network said with NoiseSchedule::target(). In float32 whatever the dtypes and whether or not
/// autocast is on. output, x0, eps: [B,...]; t: [B] int64. Throws Error::usage when `output` has not x0's shape.
Loss training_loss(const Objective& objective, const NoiseSchedule& noise, const Tensor& output, const Tensor& x0,
                   const Tensor& eps, const Tensor& t);

}  // namespace unnoise
