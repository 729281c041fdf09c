// How far a transfer of several files is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "unnoise/core/observer.h"

namespace unnoise {

class TransferProgress {
 public:
  /// `total` bytes of all files. Nothing is reported when it is 0.
  TransferProgress(const Observer& observer, std::string_view stage, uint64_t total);

  void add(const std::string& file, uint64_t bytes);
  /// Bytes that need not travel (an earlier run's), and bytes that have to travel once more.
  void already(uint64_t bytes);
  void take_back(uint64_t bytes);

 private:
  void report(const std::string& file, bool at_once);

  using Clock = std::chrono::steady_clock;
  const Observer& observer_;
  std::string_view stage_;
  uint64_t total_, done_ = 0, travelled_ = 0;
  Clock::time_point started_ = Clock::now(), reported_{};
};

}  // namespace unnoise
