// A job's progress as one line of text, and when such a line is worth printing.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "unnoise/core/observer.h"

namespace unnoise::cli {

/// "45 s", "2m 10s", "1h 05m", "3d 4h".
std::string duration(double seconds);

/// "train   42%  420/1000  epoch 3  loss 0.0412  38.1 pictures/s  2m 10s left", for a log.
std::string plain_progress(const Progress& progress);

/// The same with a bar, in at most `columns`: what is least needed goes first (the bar shrinks, then the rate, then the
/// end).
std::string bar_progress(const Progress& progress, size_t columns, bool unicode);

/// Where nothing can be redrawn: a line at the end of a stage, every 10 s, or at each tenth of the way if 1 s has
/// passed.
class PlainPace {
 public:
  bool due(const Progress& progress, double now_seconds);

 private:
  struct Stage {
    double printed_at;
    int64_t tenth;
    int64_t done;
  };
  std::map<std::string, Stage, std::less<>> stages_;
};

}  // namespace unnoise::cli
