// One training step in five lines: load images, add noise, predict, evaluate, update (Ho et al. 2020, algorithm 1).
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "unnoise/nn/rng.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/training/autocast.h"
#include "unnoise/training/ema.h"
#include "unnoise/training/grad_scaler.h"
#include "unnoise/training/noise_draw.h"
#include "unnoise/training/noise_process.h"
#include "unnoise/training/objective.h"
#include "unnoise/training/optimizer.h"

namespace unnoise {

class ProcessGroup;

/// (what NoiseProcess::input and timesteps give, [B,C,H,W] float32 and [B]; labels [B] int64 or undefined) ->
/// [B,C,H,W]. With self-conditioning it sees 2C channels: the picture with noise, and its own first answer for x0 or
/// zeros. A UNet2D fits: `std::cref(unet)`.
using Network = std::function<Tensor(const Tensor& xt, const Tensor& t, const Tensor& labels)>;

/// What a step works with. References are borrowed; set the optimizer's learning rate before each step.
struct TrainParts {
  Network network;
  const NoiseProcess& process;
  Objective objective;
  Optimizer& optimizer;
  Ema* ema = nullptr;          ///< of the network's parameters; nullptr = none
  double max_grad_norm = 1.0;  ///< 0 = do not clip
  Precision precision = Precision::no;
  DrawOptions draw = {};
  std::span<Ema* const> more_averages = {};  ///< further ones; each costs a pass over the weights
  ProcessGroup* group = nullptr;             ///< with several processes: gradients are added up over them, then clipped
  GradScaler* scaler = nullptr;              ///< for Precision::fp16
};

struct MicroBatch {
  Tensor x0;               ///< [B,C,H,W] float32 in [-1,1]; B = 0 for a process that gets nothing of a short batch
  Tensor labels;           ///< [B] int64, or undefined
  double weight = 1.0;     ///< AccumulationPlan::weight, times this process's share of the batch
  bool ends_group = true;  ///< AccumulationPlan::ends_group
  std::optional<int64_t> images = {};  ///< that the averages count: of all processes; unset = B
};

enum class StepOutcome {
  accumulated,      ///< gradients added; the group goes on
  updated,          ///< weights, average and optimizer have moved; the gradients are cleared
  skipped,          ///< the scaled gradients overflowed: they are dropped, the scale is lowered, no weight was touched
  loss_not_finite,  ///< nothing was touched: no gradient, no weight
  gradient_not_finite,  ///< the gradients hold infinities or NaN; no weight was touched. optimizer.zero_grad() drops
                        ///< them
};

struct TrainStepResult {
  StepOutcome outcome = StepOutcome::accumulated;
  double loss = 0;                       ///< this micro-batch's, not multiplied by its weight
  Tensor per_sample;                     ///< [B] float32: the loss of each picture
  Tensor timesteps;                      ///< [B]: what the network was told of each picture's level
  std::optional<double> grad_norm = {};  ///< before clipping; at the end of a group
};

/// The step with given noise.
TrainStepResult train_step(const TrainParts& parts, const MicroBatch& batch, const NoiseDraw& draw);
/// The step with noise from `rng`.
TrainStepResult train_step(const TrainParts& parts, const MicroBatch& batch, Rng& rng);

}  // namespace unnoise
