// The bytes of a weights file, mapped into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "unnoise/core/files.h"

namespace unnoise {

/// Bytes that stay alive as long as anyone holds `data`. They may be written to: a mapping is private, so that what a
/// tensor over it changes never reaches the file.
struct SharedBytes {
  std::shared_ptr<char> data;
  size_t size = 0;

  std::string_view view() const { return {data.get(), size}; }
};

/// Maps a whole file. Throws Error::data when it does not exist, is a folder, is empty, or is a Git-LFS pointer instead
/// of the file that the pointer stands for. A file that another program shortens while it is mapped makes the process
/// fail (SIGBUS).
SharedBytes map_file(const fs::path& path);

/// A copy of `bytes`, aligned for every dtype.
SharedBytes copy_bytes(std::string_view bytes);

/// "9.0 GB", "512 bytes": for messages.
std::string size_text(uint64_t bytes);

}  // namespace unnoise
