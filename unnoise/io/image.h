// An 8-bit picture in memory: what is resized, cropped, written and shown.
#pragma once

#include <cstdint>
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
void check_image(const Image& image, const char* where);

}  // namespace unnoise
