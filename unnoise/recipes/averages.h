// The averages of the weights that a training run keeps: one that draws the samples and becomes the model, and those
// whose snapshots are stored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "unnoise/recipes/ema_snapshots.h"
#include "unnoise/recipes/train_options.h"
#include "unnoise/training/ema.h"

namespace unnoise {

/// Which averages, decided before the run.
struct AveragesPlan {
  std::optional<EmaOptions> main;  ///< without one, the first of the snapshots' averages, if there is any, is the main
  std::vector<EmaOptions> models;  ///< further ones, of other half-lives, that become models of their own
  SnapshotPlan snapshots;

  int64_t count() const { return (main ? 1 : 0) + static_cast<int64_t>(models.size() + snapshots.sigma_rel.size()); }
};

/// From --use-ema and the --ema-... options, for a run of `total_updates` steps. Error::usage names the flag.
AveragesPlan plan_averages(const TrainOptions& options, int64_t total_updates);

class Averages {
 public:
  Averages(const StateDict& named_parameters, const AveragesPlan& plan);

  Ema* main() const { return main_; }  ///< null when the run keeps no average
  std::span<Ema* const> others() const { return others_; }
  /// Those of AveragesPlan::models.
  std::span<Ema* const> models() const { return models_; }

  /// Where `step` or the run's end asks for it, stores a snapshot of each power-function average.
  void save_snapshots(const fs::path& run, int64_t step, bool last) const;

 private:
  SnapshotPlan plan_;
  std::vector<std::unique_ptr<Ema>> all_;
  std::vector<Ema*> models_;
  std::vector<Ema*> stored_;  ///< those with snapshots
  Ema* main_ = nullptr;
  std::vector<Ema*> others_;
};

}  // namespace unnoise
