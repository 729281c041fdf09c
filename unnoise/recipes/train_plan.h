// What a training run will do, decided and checked before anything is written.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "unnoise/core/observer.h"
#include "unnoise/data/dataset.h"
#include "unnoise/data/loader.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/recipes/averages.h"
#include "unnoise/recipes/train_options.h"
#include "unnoise/schedulers/scheduler.h"
#include "unnoise/training/accumulation.h"
#include "unnoise/training/autocast.h"
#include "unnoise/training/lr_schedule.h"
#include "unnoise/training/noise_draw.h"
#include "unnoise/training/noise_process.h"
#include "unnoise/training/objective.h"
#include "unnoise/training/optimizer.h"

namespace unnoise {

struct TrainPlan {
  at::Device device = at::kCPU;
  std::shared_ptr<const Dataset> dataset;
  LoaderOptions loader;

  UNet2DOptions unet;
  Json unet_config;  ///< of the saved model: the options, and keys of a pretrained one that we do not know
  std::optional<std::string> pretrained;            ///< folder of the first weights; none = drawn from the seed
  std::shared_ptr<const Scheduler> scheduler;       ///< saved with the model
  std::shared_ptr<const NoiseProcess> process;      ///< what the scheduler undoes, and the network is trained on
  std::shared_ptr<const Scheduler> eval_scheduler;  ///< draws the samples of the run
  int64_t eval_steps = 0;
  bool with_labels = false;  ///< the network is conditioned on the pictures' classes

  Objective objective;
  DrawOptions draw;
  bool uncertainty_weighting = false;
  double augment = 0;  ///< probability of each change
  OptimizerOptions optimizer;
  AveragesPlan averages;
  Precision precision = Precision::no;
  double max_grad_norm = 1.0;

  AccumulationPlan accumulation{1, 1, 1};
  int64_t total_updates = 0;
  int64_t num_epochs = 0;
  std::optional<LrSchedule> lr_schedule;
};

/// The set that a training learns from: its part "train". Error::usage when the options name none.
DatasetOptions training_set(const TrainOptions& options);

/// Pictures of all processes together before the gradients are added to those of the next batch.
int64_t pictures_a_batch(const TrainOptions& options);

/// Channels of the pictures: those of the network, less what self-conditioning and a learned variance add.
int64_t picture_channels(const TrainPlan& plan);

/// Reads the data's list and the configurations, checks every option, throws Error (usage, data, environment) with what
/// to do.
TrainPlan plan_training(const TrainOptions& options, const Observer& observer);

/// The lines a user reads before the first step: data, network, steps, memory.
std::string describe_plan(const TrainPlan& plan, const TrainOptions& options, int64_t num_parameters);

}  // namespace unnoise
