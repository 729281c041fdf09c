// For readers that take a path: a fuzz input as a file of this process, in memory where the system has such a place.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>

#include "unnoise/core/files.h"

struct AsFile {
  AsFile(const uint8_t* data, size_t size, const std::string& extension) {
    static const unnoise::fs::path memory = "/dev/shm";
    const auto folder = unnoise::fs::exists(memory) ? memory : unnoise::fs::temp_directory_path();
    path = folder / ("unnoise-fuzz-" + std::to_string(::getpid()) + extension);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  }
  ~AsFile() { unnoise::fs::remove(path); }
  AsFile(const AsFile&) = delete;
  AsFile& operator=(const AsFile&) = delete;

  unnoise::fs::path path;
};
