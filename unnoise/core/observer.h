// What travels sideways out of a long job: progress and log lines. The library itself never prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace unnoise {

/// Where a job stands. Counts are of `stage`'s own unit (sampling steps, optimizer steps, pictures).
struct Progress {
  std::string_view stage;  ///< "train", "sample", "scan data"
  int64_t done = 0;
  int64_t total = 0;         ///< 0 = unknown
  std::string detail;        ///< the rest of the line: "epoch 3  loss 0.0412  lr 1.0e-04"
  double per_second = 0;     ///< pictures a second, 0 = unknown
  double seconds_left = -1;  ///< negative = unknown
};

enum class LogLevel { info, warning };

/// Callbacks, each optional, called on the thread that runs the job. They must not throw.
struct Observer {
  std::function<void(const Progress&)> on_progress;
  std::function<void(LogLevel, const std::string&)> on_log;

  void progress(const Progress& p) const {
    if (on_progress) on_progress(p);
  }
  void info(const std::string& line) const {
    if (on_log) on_log(LogLevel::info, line);
  }
  void warn(const std::string& line) const {
    if (on_log) on_log(LogLevel::warning, line);
  }
};

}  // namespace unnoise
