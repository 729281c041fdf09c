// For readers that take a path: a fuzz input as a file of this process, in memory where the system has such a place.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>

#include "unnoise/core/files.h"

inline unnoise::fs::path as_file(const uint8_t* data, size_t size, const std::string& extension) {
  using unnoise::fs::path;
  static const path folder = unnoise::fs::exists("/dev/shm") ? path("/dev/shm") : unnoise::fs::temp_directory_path();
  const path file = folder / ("unnoise-fuzz-" + std::to_string(::getpid()) + extension);
  std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  return file;
}
