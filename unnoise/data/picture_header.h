// The first bytes of a picture file: is it a picture, and of what size, without decoding it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "unnoise/core/files.h"

namespace unnoise {

struct PictureSize {
  int64_t width = 0;
  int64_t height = 0;
  bool operator==(const PictureSize&) const = default;
};

/// What a look at the header of a picture file tells: the stored size (before EXIF rotation), or why it is no
/// picture.
struct PictureProbe {
  std::optional<PictureSize> size;
  std::string problem;  ///< "", or "is empty", "is not a PNG, JPEG ... picture", "ends within its header" ...
};

/// Probes a file; reads its first kilobytes, and the rest only if the size stands further back. Never throws.
PictureProbe probe_picture_file(const fs::path& path);
/// The same for bytes in memory.
PictureProbe probe_picture(std::string_view bytes);

}  // namespace unnoise
