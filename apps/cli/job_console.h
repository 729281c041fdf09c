// What every long command has around its recipe: the progress display and Ctrl-C.
#pragma once

#include <cstdint>
#include <stop_token>

#include "apps/cli/interrupt.h"
#include "apps/cli/progress.h"

namespace unnoise::cli {

class JobConsole {
 public:
  /// Of several processes that share a terminal, the first one says what Ctrl-C does.
  explicit JobConsole(int64_t rank = 0) : rank_(rank) {}

  Observer observer() { return display_.observer(); }
  std::stop_token stop() const { return interrupt_.token(); }
  /// Ends the progress line, before results are printed.
  void finish() { display_.finish(); }

 private:
  const int64_t rank_;
  ProgressDisplay display_;
  Interrupt interrupt_{[this] {
    if (rank_ == 0) display_.note("finishing the step and saving; press Ctrl-C again to quit at once");
  }};
};

}  // namespace unnoise::cli
