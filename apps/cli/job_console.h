// What every long command has around its recipe: the progress display and Ctrl-C.
#pragma once

#include <stop_token>

#include "apps/cli/interrupt.h"
#include "apps/cli/progress.h"

namespace unnoise::cli {

class JobConsole {
 public:
  Observer observer() { return display_.observer(); }
  std::stop_token stop() const { return interrupt_.token(); }
  /// Ends the progress line, before results are printed.
  void finish() { display_.finish(); }

 private:
  ProgressDisplay display_;
  Interrupt interrupt_{[this] { display_.note("finishing the step and saving; press Ctrl-C again to quit at once"); }};
};

}  // namespace unnoise::cli
