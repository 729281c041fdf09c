// What is known of pictures after decoding them all once.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/data/dataset.h"
#include "unnoise/data/look_hash.h"
#include "unnoise/recipes/data_source.h"

namespace unnoise {

struct PictureFacts {
  bool looked_at = false;  ///< false after an interruption
  std::string problem;     ///< why it cannot be decoded; "" = it can
  int64_t width = 0;
  int64_t height = 0;
  std::string mode;          ///< Pillow's name: "RGB"
  std::string format;        ///< "PNG"; "" = bare pixels
  int64_t bytes = 0;         ///< of its file, or of its pixels
  bool see_through = false;  ///< has an alpha that is not opaque everywhere
  size_t content = 0;        ///< hash of the file's bytes, or of the pixels
  uint64_t look = 0;
  Thumbnail thumbnail{};
};

enum class ScanDepth { plain, with_hashes };

/// Decodes with a few threads; fact k belongs to which[k]. Progress stage "look at pictures". Stops early when asked
/// to.
std::vector<PictureFacts> scan_pictures(const std::vector<SplitDataset>& splits, const std::vector<PictureRef>& which,
                                        ScanDepth depth, const Observer& observer, const std::stop_token& stop);

}  // namespace unnoise
