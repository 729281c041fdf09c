// The camera's orientation tag: EXIF 2.3 (JEITA CP-3451C), tag 0x0112 of the first directory.
#include <utility>

#include "unnoise/io/image_decode.h"

namespace unnoise::image_decode {
namespace {

/// Integers of a TIFF block, in its byte order; 0 outside of it.
struct TiffBytes {
  std::string_view bytes;
  bool little = true;

  uint32_t number(size_t at, size_t width) const {
    if (at > bytes.size() || bytes.size() - at < width) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < width; ++i)
      value = (value << 8) | static_cast<uint8_t>(bytes[at + (little ? width - 1 - i : i)]);
    return value;
  }
};

}  // namespace

int exif_orientation(std::string_view exif) {
  constexpr std::string_view kPrefix("Exif\0\0", 6);
  if (exif.starts_with(kPrefix)) exif.remove_prefix(kPrefix.size());
  if (!exif.starts_with("II") && !exif.starts_with("MM")) return 1;
  const TiffBytes tiff{exif, exif.starts_with("II")};
  if (tiff.number(2, 2) != 42) return 1;
  const size_t directory = tiff.number(4, 4);
  const size_t entries = tiff.number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (entry >= exif.size()) return 1;
    constexpr uint32_t kOrientation = 0x0112, kShort = 3;
    if (tiff.number(entry, 2) != kOrientation) continue;
    const uint32_t value = tiff.number(entry + 2, 2) == kShort ? tiff.number(entry + 8, 2) : tiff.number(entry + 8, 4);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

DecodedImage turned_upright(DecodedImage image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  // Orientation says which edge of the scene the first row and the first column are.
  const bool swaps = orientation >= 5;  // rows are columns of the scene
  const bool bottom_up = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool right_left = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const int64_t bytes = mode_bytes(image.mode);
  const int64_t width = swaps ? image.height : image.width, height = swaps ? image.width : image.height;
  std::vector<uint8_t> turned(image.pixels.size());
  uint8_t* out = turned.data();
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t scene_x = right_left ? width - 1 - x : x, scene_y = bottom_up ? height - 1 - y : y;
      const int64_t from_x = swaps ? scene_y : scene_x, from_y = swaps ? scene_x : scene_y;
      const uint8_t* in = image.pixels.data() + (from_y * image.width + from_x) * bytes;
      for (int64_t b = 0; b < bytes; ++b) *out++ = in[b];
    }
  }
  image.width = width;
  image.height = height;
  image.pixels = std::move(turned);
  return image;
}

}  // namespace unnoise::image_decode
