// The folder that a training job lives in: what is in it, who may write to it, and which checkpoints it holds.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/observer.h"

namespace unnoise {

/// What a run writes to tell of itself, at the top of its folder: not parts of the model.
inline constexpr std::array<std::string_view, 11> kRunRecords = {
    "options.json", "run.json", "evaluation.json", "recipe.json", "result.json", "log.jsonl",
    "loss.csv",     "loss.svg", "grid.png",        "samples",     "logs"};

/// One run. While the object lives, no other process can open the same folder.
class RunFolder {
 public:
  enum class Existing { refuse, replace, resume };

  /// Creates the folder, or takes over an existing one:
  /// refuse - Error::usage when an earlier run is there (its options.json or log.jsonl, or a checkpoint);
  /// replace - removes what the earlier run wrote, and nothing else;
  /// resume - keeps it. Leftovers of a save that was cut off are removed.
  /// Error::environment when another process trains there or the folder cannot be written.
  /// `to_resume` is the flag that the caller's user goes on with.
  RunFolder(const fs::path& path, Existing existing, std::string_view to_resume = "--resume-from-checkpoint latest");
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const fs::path& path() const { return path_; }
  fs::path options_file() const { return path_ / "options.json"; }
  fs::path log_file() const { return path_ / "log.jsonl"; }
  /// The model of a further average, whose half-life is so many thousands of pictures.
  fs::path average_model(double halflife) const;
  fs::path samples() const { return path_ / "samples"; }
  fs::path checkpoint(int64_t step) const { return path_ / ("checkpoint-" + std::to_string(step)); }

  /// Deletes the oldest checkpoints so that at most `keep` remain.
  void prune_checkpoints(int64_t keep) const;

 private:
  fs::path path_;
  int lock_ = -1;
};

/// A picture of samples of the run: the grid.png of a recipe, else the newest of samples/.
std::optional<fs::path> newest_grid(const fs::path& run);

/// The steps for which `run` holds a checkpoint-<step> folder, ascending by number (9 before 10).
std::vector<int64_t> checkpoint_steps(const fs::path& run);

/// What --resume-from-checkpoint means: "latest", a folder's name inside `run`, or a path. nullopt when "latest" finds
/// none; Error::usage that lists what is there when a named one is missing.
std::optional<fs::path> find_checkpoint(const fs::path& run, const std::string& which);

}  // namespace unnoise
