// The network under examination, with its data and optimizer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "unnoise/data/loader.h"
#include "unnoise/nn/rng.h"
#include "unnoise/recipes/train_plan.h"
#include "unnoise/training/train_step.h"

namespace unnoise {

class DoctorSubject {
 public:
  DoctorSubject(const TrainOptions& options, TrainPlan plan);

  const TrainPlan& plan() const { return plan_; }
  /// As a run begins: first weights, no averages.
  void reset();

  MicroBatch next_batch();
  NoiseDraw draw(const Tensor& x0) { return draw_noise(x0, *plan_.process, plan_.draw, noise_rng_); }
  /// One training step at this rate, with clipping as planned.
  TrainStepResult step(const MicroBatch& batch, const NoiseDraw& draw, double learning_rate);
  /// Adds the batch's gradients to those that are there; no weight moves. Labels and noise as in training.
  TrainStepResult accumulate(MicroBatch batch, const NoiseDraw& draw);
  /// The mean loss of a batch, without gradients.
  double loss(const MicroBatch& batch, const NoiseDraw& draw);

  void drop_gradients() { optimizer_->zero_grad(); }
  std::vector<Tensor> gradients() const;  ///< of every parameter, zeros where there is none
  /// Parameters whose gradient is exactly zero or missing.
  std::vector<std::string> parameters_without_gradient() const;
  /// Root mean square over pictures and pixels of the answer less its mean over the pictures: 0 = the same answer to
  /// every picture.
  double variation_of_answers(const MicroBatch& batch, const NoiseDraw& draw);

 private:
  TrainParts parts();

  const TrainOptions& options_;
  TrainPlan plan_;
  Rng noise_rng_;
  Rng dropout_rng_;
  std::shared_ptr<UNet2D> unet_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Loader> loader_;
};

}  // namespace unnoise
