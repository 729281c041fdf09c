// The training loop with everything around it: progress, logs, samples, checkpoints.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>

#include "unnoise/core/observer.h"
#include "unnoise/logging/run_log.h"
#include "unnoise/logging/tensorboard.h"
#include "unnoise/nn/process_group.h"
#include "unnoise/nn/rng.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/job.h"
#include "unnoise/recipes/loss_curve.h"
#include "unnoise/recipes/run_folder.h"
#include "unnoise/recipes/step_clock.h"
#include "unnoise/recipes/train_evaluation.h"
#include "unnoise/recipes/train_plan.h"
#include "unnoise/training/health.h"
#include "unnoise/training/train_step.h"
#include "unnoise/training/trainer_state.h"

namespace unnoise {

class Trainer {
 public:
  /// Makes the network, and with `checkpoint` sets everything to where that one left off.
  /// `folder` is rank 0's, which writes; null in other processes of the group.
  Trainer(const TrainOptions& options, TrainPlan plan, const RunFolder* folder,
          const std::optional<fs::path>& checkpoint, ProcessGroup& group, const Observer& observer);

  JobStatus run(std::stop_token stop);

 private:
  struct Update {
    double loss = 0;
    double grad_norm = 0;
    double learning_rate = 0;
    int64_t images = 0;
  };

  void make_network(bool with_weights);
  StateDict trained_parameters() const;
  bool scales_gradients() const { return plan_.precision == Precision::fp16; }
  Unconditional pipeline(std::shared_ptr<const Scheduler> scheduler) const;
  void restore(const TrainerState& state, const std::string& where);
  void open_folder(const std::optional<fs::path>& checkpoint);
  MicroBatch micro_batch(const Batch& batch, Tensor& extra_embedding);
  Update update();
  void log_update(const Update& update);
  void log(const Json& record);
  void finish_epoch(std::stop_token stop);
  void record_epoch(std::stop_token stop);
  void draw_samples(int64_t epoch, std::stop_token stop);
  void evaluate(std::stop_token stop);
  void save_model();
  void save_checkpoint();
  void report_progress(const Update& update);
  int64_t epoch() const { return plan_.accumulation.epoch(next_batch_); }
  bool at_epoch_end() const;
  Ema* ema() const { return averages_->main(); }

  const TrainOptions& options_;
  TrainPlan plan_;
  const RunFolder* folder_;
  ProcessGroup& group_;
  const Observer& observer_;

  Rng noise_rng_;
  Rng dropout_rng_;
  std::shared_ptr<UNet2D> unet_;
  std::unique_ptr<Uncertainty> uncertainty_;  ///< none unless the plan asks for it
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Averages> averages_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<RunLog> log_;  ///< rank 0's, as the next one
  std::unique_ptr<TensorBoardWriter> tensorboard_;
  std::unique_ptr<TrainEvaluation> evaluation_;  ///< with --evaluate-every

  int64_t global_step_ = 0;
  int64_t next_batch_ = 0;  ///< micro-batches, numbered across epochs
  int64_t saved_at_ = -1;   ///< step of the last checkpoint that this process wrote
  int64_t epoch_in_progress_ = 0;
  std::optional<LossCurve> curve_;
  TrainingHealth health_;
  GradScaler grad_scaler_;  ///< used with Precision::fp16
  StepClock clock_;
};

}  // namespace unnoise
