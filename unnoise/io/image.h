// Pictures in memory: 8 bits a sample as the project works with them, and as a file stores them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace unnoise {

/// Interleaved rows, top to bottom, without padding: pixels.size() == width * height * channels.
/// Channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA (alpha not premultiplied).
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  int64_t channels = 0;
  std::vector<uint8_t> pixels;

  bool operator==(const Image&) const = default;
  uint8_t* row(int64_t y) { return pixels.data() + y * width * channels; }
  const uint8_t* row(int64_t y) const { return pixels.data() + y * width * channels; }
};

/// A picture of zeros (black, transparent). Throws Error::usage unless 1 <= channels <= 4 and both sides are positive.
Image blank_image(int64_t width, int64_t height, int64_t channels);

/// Error::usage, naming `where`, unless sizes and channels are sane and `pixels` has exactly their size.
void check_image(const Image& image, std::string_view where);

/// A picture as its file stores it, before any conversion (io/image_convert.h).
struct DecodedImage {
  int64_t width = 0;
  int64_t height = 0;
  /// Pillow's name of the format: "1", "L", "LA", "P", "RGB", "RGBA", "CMYK" (8 bits a sample; "1" holds 0 and 255; in
  /// CMYK 255 is full ink) or "I;16" (16 bits, grey).
  std::string mode;
  /// Interleaved rows, top to bottom; "I;16" has two bytes a sample, in the machine's order.
  std::vector<uint8_t> pixels;
  std::vector<uint8_t> palette;        ///< "P": RGB triples, at most 256
  std::vector<uint8_t> palette_alpha;  ///< "P" with transparency: the alphas of the first entries; the rest is opaque

  bool operator==(const DecodedImage&) const = default;
};

/// Samples a pixel of a mode named above: "L" 1, "LA" 2, "RGB" 3, "RGBA" and "CMYK" 4. Error::usage for another name.
int64_t mode_channels(std::string_view mode);
/// Bytes a pixel: 2 for "I;16", else mode_channels.
int64_t mode_bytes(std::string_view mode);

/// 8-bit pixels that did not come from a file: "L", "LA", "RGB" or "RGBA" by the number of channels.
DecodedImage decoded_image(Image image);

}  // namespace unnoise
