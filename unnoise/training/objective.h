// How far off a network's answer was: distance, weight by level of noise, and the mean over the batch.
#pragma once

#include <array>
#include <optional>
#include <utility>

#include "unnoise/nn/tensor.h"
#include "unnoise/training/loss_type.h"
#include "unnoise/training/noise_process.h"
#include "unnoise/training/uncertainty.h"

namespace unnoise {

struct Objective {
  LossType loss = LossType::l2;
  LossWeighting weighting = LossWeighting::standard;
  double snr_gamma = 5;     ///< min_snr, soft_min_snr; above 0
  double p2_gamma = 1;      ///< p2; at least 0
  double p2_k = 1;          ///< p2; above 0
  double sigma_data = 0.5;  ///< edm; above 0
  /// The network answers with 2C channels, the latter half its variance: Nichol & Dhariwal 2021, "Improved DDPM". The
  /// loss gains T/1000 times the variational bound's term at t (eq. 16), which moves the variance alone.
  bool learned_variance = false;
  /// Train on L^2/2, whose gradient is L times L's: what `loss.backward(loss)` does in the course's notebooks. Steps
  /// shrink as the loss does. The losses that are reported stay L.
  bool gradient_times_loss = false;
  /// Learned besides, when given: each level's loss is divided by its own size. Borrowed.
  const Uncertainty* uncertainty = nullptr;
};

/// The distance of every number of the network's answer from its target, of their shape.
Tensor distances(LossType loss, const Tensor& output, const Tensor& target);

/// The factor of each picture's loss, [B] float32; undefined where it is 1 everywhere. Error::usage for a parameter out
/// of range.
Tensor loss_weights(const Objective& objective, const NoiseProcess& process, const Tensor& level);

struct Loss {
  Tensor mean;        ///< 0-dim float32, with its graph: to be minimized
  Tensor per_sample;  ///< [B] float32, detached: each picture's weighted mean, without what `uncertainty` does to it
};

/// What the network was shown and what it said. x0, eps, xt: [B,C,H,W]; level: [B]; output: as x0, or [B,2C,H,W] with a
/// learned variance.
struct Answer {
  const Tensor& output;
  const Tensor& x0;
  const Tensor& eps;
  const Tensor& xt;
  const Tensor& level;
};

/// Compares the answer with NoiseProcess::target(). In float32 whatever the dtypes and whether or not autocast is on.
/// Throws Error::usage when the output has another shape than expected.
Loss training_loss(const Objective& objective, const NoiseProcess& process, const Answer& answer);

}  // namespace unnoise
