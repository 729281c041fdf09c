// The snapshots of a run's power-function averages (training/power_ema.h), from which `unnoise ema` rebuilds any other.
//
//   ema/model.json                            {"unet": config, "scheduler": config, "self_conditioning": bool}
//   ema/step-000500-sigma-0.05.safetensors    an average; step, images, sigma_rel in its metadata
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/nn/tensor.h"
#include "unnoise/recipes/snapshot_dtype.h"
#include "unnoise/training/ema.h"

namespace unnoise {

/// What is kept of a run's averages; nothing when sigma_rel is empty.
struct SnapshotPlan {
  std::vector<double> sigma_rel;
  int64_t every = 0;  ///< steps; the last step has one too
  SnapshotDtype dtype = SnapshotDtype::float16;
};

/// Files that a run of `total_updates` steps will write, and bytes of all of them.
int64_t snapshot_count(const SnapshotPlan& plan, int64_t total_updates);
double snapshot_bytes(const SnapshotPlan& plan, int64_t total_updates, int64_t num_parameters);

struct EmaSnapshot {
  fs::path file;
  int64_t step = 0;
  int64_t images = 0;  ///< the average's time
  double sigma_rel = 0;
};

/// Writes the average's file into `run`/ema. A tensor with values beyond float16's range is stored in float32.
void save_ema_snapshot(const fs::path& run, const Ema& average, int64_t step, SnapshotDtype dtype);
/// Writes ema/model.json.
void save_snapshot_model(const fs::path& run, const Json& unet_config, const Json& scheduler_config,
                         bool self_conditioning);
Json load_snapshot_model(const fs::path& run);

/// Those of `run`, by time, then width. Error::data for a file that is damaged or has no metadata; an empty list when
/// there is no ema folder.
std::vector<EmaSnapshot> list_ema_snapshots(const fs::path& run);
/// Deletes those after `step`: the resumed run makes them again.
void remove_snapshots_after(const fs::path& run, int64_t step);

/// Sum of weights[i] * snapshots[i], summed in float64, as float32 tensors. Error::data when two are not of the same
/// network.
StateDict combine_snapshots(std::span<const EmaSnapshot> snapshots, std::span<const double> weights);

}  // namespace unnoise
