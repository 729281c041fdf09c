// A zip container that depends on its files' names and contents alone: the same files give the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "unnoise/core/files.h"

namespace unnoise {

struct ZipSource {
  std::string name;  ///< in the container, with slashes
  fs::path path;
};

/// Writes `path` atomically, the files in the given order, stored (weights do not pack), dated 1980-01-01, zip64 where
/// sizes need it (APPNOTE 6.3.10). Error::data when a file cannot be read, Error::environment when the container cannot
/// be written.
void write_zip(const fs::path& path, const std::vector<ZipSource>& files);

}  // namespace unnoise
