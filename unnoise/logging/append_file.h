// A file that only grows, record by record, each of them there whole or not at all.
#pragma once

#include <string_view>

#include "unnoise/core/files.h"

namespace unnoise {

class AppendFile {
 public:
  /// Opens `path` for appending; with `must_be_new` an existing file is an error. Throws Error::environment.
  explicit AppendFile(const fs::path& path, bool must_be_new = false);
  ~AppendFile();
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&&) = delete;
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// Hands `record` to the operating system before it returns: it survives the end of this process, however it ends.
  /// When the disk is full the part that was written is taken back, then Error::environment is thrown.
  void append(std::string_view record);

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int fd_ = -1;
};

}  // namespace unnoise
