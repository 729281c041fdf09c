// The way from a picture to noise that a network is trained on, and what the network is asked on that way. Everything a
// training step needs to know of an objective, in the symbols of its paper:
//
//   xt = alpha x0 + sigma eps
//   a table of betas      alpha^2 + sigma^2 = 1, asks for eps, x0 or v      Ho et al. 2020; Salimans & Ho 2022
//   EDM                   alpha = 1, preconditioned network F               Karras et al. 2022, table 1
//   rectified flow        alpha = 1 - s, sigma = s, asks for eps - x0       Liu et al. 2023; Lipman et al. 2023
#pragma once

#include <memory>

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/schedulers/noise_schedule.h"
#include "unnoise/training/level_draw.h"

namespace unnoise {

/// Immutable. Pictures are [B,C,H,W] float32; a level is [B], of the kind that draw() gives: int64 timesteps of a
/// table, float32 sigma of EDM, float32 s in (0,1] of a flow.
class NoiseProcess {
 public:
  virtual ~NoiseProcess() = default;

  /// A level for each of `batch` pictures. Error::usage when the process cannot be drawn from so.
  virtual Tensor draw(const LevelDraw& how, int64_t batch, Rng& rng) const = 0;

  /// xt.
  virtual Tensor add_noise(const Tensor& x0, const Tensor& eps, const Tensor& level) const = 0;
  /// What the network sees of xt, and what it is told of the level.
  virtual Tensor input(const Tensor& xt, const Tensor& level) const { return xt; }
  virtual Tensor timesteps(const Tensor& level) const { return level; }
  /// What it should answer.
  virtual Tensor target(const Tensor& x0, const Tensor& eps, const Tensor& level) const = 0;
  /// The picture that its answer stands for.
  virtual Tensor x0(const Tensor& xt, const Tensor& output, const Tensor& level) const = 0;

  /// alpha^2 / sigma^2, [B] float32.
  virtual Tensor snr(const Tensor& level) const = 0;
  /// |error of the answer|^2 / |error of x0|^2, [B] float32: turns a weight of the one into a weight of the other.
  virtual Tensor gain(const Tensor& level) const = 0;
  /// The weight of the answer's error when none is asked for; undefined where it is 1.
  virtual Tensor standard_weight(const Tensor& level) const { return {}; }

  /// The table, of a process that has one.
  virtual const NoiseSchedule* table() const { return nullptr; }
};

/// A network that is told timesteps of `noise` and answers with eps, x0 or v. x0's standard weight is the snr, as in
/// diffusers' train_unconditional.py. Error::usage for flow_prediction.
std::shared_ptr<const NoiseProcess> table_process(const NoiseSchedule& noise, PredictionType prediction_type);

/// Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models". sigma_data: the standard
/// deviation of the pictures, above 0. The network sees c_in xt and is told log(sigma)/4; its error has weight
/// lambda c_out^2 = 1.
std::shared_ptr<const NoiseProcess> edm_process(double sigma_data = 0.5);

/// Liu et al. 2023, "Rectified Flow". The network is told num_train_timesteps * s.
std::shared_ptr<const NoiseProcess> flow_process(int64_t num_train_timesteps = 1000);

}  // namespace unnoise
