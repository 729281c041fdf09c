// A sweep as its folder knows it: sweep.json, replaced whole after each event, so that a kill at any moment loses
// nothing but the work since the last one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "unnoise/recipes/recipe.h"
#include "unnoise/recipes/sweep_grid.h"
#include "unnoise/recipes/sweep_options.h"

namespace unnoise {

enum class SweepStatus {
  waiting,
  going,    ///< begun, and to go on
  stopped,  ///< for good: others were better
  done,
  failed,  ///< its loss was not finite
};
constexpr auto enum_names(SweepStatus) {
  using enum SweepStatus;
  return std::array{std::pair{waiting, "waiting"}, std::pair{going, "going"}, std::pair{stopped, "stopped"},
                    std::pair{done, "done"}, std::pair{failed, "failed"}};
}

struct SweepRun {
  std::string folder;  ///< below runs/: "01"
  Choice choice;
  SweepStatus status = SweepStatus::waiting;
  int64_t steps = 0;           ///< of the whole training; 0 = not fitted to the budget yet
  int64_t step = 0;            ///< made so far
  std::vector<double> scores;  ///< at each rung passed; lower is better
  Json held_out;               ///< of the last rung, or null
  double seconds = 0;          ///< of training
  double cpu_seconds = 0;      ///< of training, all threads together
  int64_t peak_memory_bytes = 0;
  std::string error;

  bool is_alive() const { return status == SweepStatus::waiting || status == SweepStatus::going; }
};

struct SweepState {
  Recipe recipe;
  std::vector<Variation> variations;
  int64_t halving = 2;
  std::string rank_by;
  bool highest = false;
  int64_t held_out_images = 0;
  std::vector<SweepRun> runs;
  double seconds = 0;  ///< spent on the queue
};

Json to_json(const SweepState& state);
/// Error::data that names `where` when it is no sweep's.
SweepState sweep_state_from_json(const Json& json, std::string_view where);

/// A queue that has not begun.
SweepState new_sweep(const Recipe& recipe, const SweepOptions& options);
/// Whether the two are the same queue, however far they are. Gives what differs, "" = nothing.
std::string difference(const SweepState& a, const SweepState& b);

}  // namespace unnoise
