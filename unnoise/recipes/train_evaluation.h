// Measures the pictures of a network while it trains: --evaluate-every.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "unnoise/logging/run_log.h"
#include "unnoise/logging/tensorboard.h"
#include "unnoise/recipes/quality.h"
#include "unnoise/recipes/quality_draw.h"
#include "unnoise/recipes/reference_pictures.h"
#include "unnoise/recipes/train_plan.h"

namespace unnoise {

/// The pictures that a plan trains on, to compare drawn ones with; only `num_reference` of them, 0 = all.
ReferenceSource training_reference(const TrainPlan& plan, int64_t num_reference);

/// Draws from its own fixed seed and reads through its own loader: the run's random streams and its order of pictures
/// are those of a run without it. The numbers are those of `unnoise evaluate` on the saved model.
class TrainEvaluation {
 public:
  /// Throws Error for options that cannot be followed, and when the data's test part is damaged. Pictures are read at
  /// the first measurement.
  TrainEvaluation(const TrainOptions& options, const TrainPlan& plan, const Observer& observer);

  /// Every so many steps, and after the last.
  bool is_due(int64_t step) const;
  /// Whether it was due at `step`, but the run was stopped meanwhile, so that its log lacks the numbers.
  bool is_owed(int64_t step, const fs::path& log_file) const;

  /// Measures pictures of `pipe` and writes the numbers to the log, TensorBoard and the observer; nothing when stopped.
  void run(const Unconditional& pipe, int64_t step, RunLog& log, TensorBoardWriter& tensorboard,
           const std::stop_token& stop);

 private:
  const TrainOptions& options_;
  const TrainPlan& plan_;
  const Observer& observer_;
  std::shared_ptr<FeatureNetwork> network_;
  ReferenceSource source_;
  std::optional<QualityReference> reference_;
};

}  // namespace unnoise
