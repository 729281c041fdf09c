// Any bytes as a picture: the outcome is a picture whose pixels fit its size, or an unnoise::Error; a look at the
// header never throws.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/data/picture_header.h"
#include "unnoise/io/image_read.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto probe = unnoise::probe_picture(bytes);
  constexpr int64_t kQuick = 1 << 22;  // larger ones are only slower
  if (probe.size && probe.size->width * probe.size->height > kQuick) return 0;
  try {
    unnoise::convert(unnoise::decode_image(bytes, "fuzz"), unnoise::ImageMode::rgb);
  } catch (const unnoise::Error& error) {
    if (error.kind() == unnoise::ErrorKind::usage) std::abort();  // pixels that do not fit their size
  }
  return 0;
}
