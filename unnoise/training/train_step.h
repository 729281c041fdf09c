// One training step in five lines: load images, add noise, predict, evaluate, update (Ho et al. 2020, algorithm 1).
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <utility>

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/schedulers/noise_schedule.h"
#include "unnoise/training/autocast.h"
#include "unnoise/training/ema.h"
#include "unnoise/training/objective.h"
#include "unnoise/training/optimizer.h"

namespace unnoise {

/// (xt [B,C,H,W] float32, t [B] int64, labels [B] int64 or undefined) -> [B,C,H,W]. A UNet2D fits: `std::cref(unet)`.
using Network = std::function<Tensor(const Tensor& xt, const Tensor& t, const Tensor& labels)>;

/// What a step works with. References are borrowed; set the optimizer's learning rate before each step.
struct TrainParts {
  Network network;
  const NoiseSchedule& noise;
  Objective objective;
  Optimizer& optimizer;
  Ema* ema = nullptr;          ///< of the network's parameters; nullptr = none
  double max_grad_norm = 1.0;  ///< 0 = do not clip
  Precision precision = Precision::no;
};

struct MicroBatch {
  Tensor x0;               ///< [B,C,H,W] float32 in [-1,1]
  Tensor labels;           ///< [B] int64, or undefined
  double weight = 1.0;     ///< AccumulationPlan::weight
  bool ends_group = true;  ///< AccumulationPlan::ends_group
};

enum class StepOutcome {
  accumulated,          ///< gradients added; the group goes on
  updated,              ///< weights, average and optimizer have moved; the gradients are cleared
  loss_not_finite,      ///< nothing was touched: no gradient, no weight
  gradient_not_finite,  ///< the gradients hold infinities or NaN; no weight was touched. optimizer.zero_grad() drops
                        ///< them
};

struct TrainStepResult {
  StepOutcome outcome = StepOutcome::accumulated;
  double loss = 0;                       ///< this micro-batch's, not multiplied by its weight
  Tensor per_sample;                     ///< [B] float32: the loss of each picture
  Tensor timesteps;                      ///< [B] int64: where each picture was noised to
  std::optional<double> grad_norm = {};  ///< before clipping; at the end of a group
};

/// The noise and the timesteps of a step, [B,C,H,W] and [B] int64.
struct NoiseDraw {
  Tensor eps;
  Tensor t;
};

/// First the noise, then the timesteps, uniform in [0,T): diffusers' order. One stream only.
NoiseDraw draw_noise(const Tensor& x0, int64_t num_train_timesteps, Rng& rng);

/// The step with given noise.
TrainStepResult train_step(const TrainParts& parts, const MicroBatch& batch, const NoiseDraw& draw);
/// The step with noise from `rng`.
TrainStepResult train_step(const TrainParts& parts, const MicroBatch& batch, Rng& rng);

}  // namespace unnoise
