// Shows a job's progress and log on standard error.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

#include "apps/cli/progress_line.h"
#include "unnoise/core/observer.h"

namespace unnoise::cli {

/// On a terminal one line that is redrawn, with log lines passing above it; elsewhere plain lines now and then. All
/// functions may be called from any thread.
class ProgressDisplay {
 public:
  ProgressDisplay();
  ~ProgressDisplay();  ///< finish()
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  /// Callbacks into this display, which must outlive them.
  Observer observer();
  /// Prints a line of its own, above the progress line.
  void note(std::string_view line);
  /// Leaves the last state on the screen and goes to the next line.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  void show(const Progress& progress);
  void redraw();

  std::mutex mutex_;
  const bool redraws_;
  const bool unicode_;
  const Clock::time_point start_ = Clock::now();
  PlainPace pace_;
  Progress last_;  // last_.stage points to stage_
  std::string stage_;
  bool on_screen_ = false;
  Clock::time_point drawn_at_;
};

}  // namespace unnoise::cli
