// The words that the processes of a group leave for each other: LibTorch's TCPStore, which torchrun speaks too.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "unnoise/core/process_place.h"

namespace unnoise {

/// Texts by key, kept by rank 0 or by the launcher.
class ProcessStore {
 public:
  /// Rank 0 starts it, unless the launcher has; the others connect to it. Error::environment when that fails.
  ProcessStore(const ProcessPlace& place, std::chrono::seconds patience);
  ~ProcessStore();

  void set(const std::string& key, const std::string& value);
  /// Keeps what another process has set before.
  void set_first(const std::string& key, const std::string& value);
  /// nullopt when nobody has set it.
  std::optional<std::string> find(const std::string& key);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace unnoise
