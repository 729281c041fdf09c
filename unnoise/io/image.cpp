#include "unnoise/io/image.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "unnoise/core/error.h"

namespace unnoise {

Image blank_image(int64_t width, int64_t height, int64_t channels) {
  constexpr int64_t kLimit = int64_t{1} << 31;
  if (width < 1 || height < 1 || channels < 1 || channels > 4 || width >= kLimit || height >= kLimit)
    throw usage_error(
        fmt::format("no picture has {}x{} pixels with {} channels; expected positive sides, 1 to 4 channels", width,
                    height, channels));
  return {width, height, channels, std::vector<uint8_t>(static_cast<size_t>(width * height * channels))};
}

void check_image(const Image& image, std::string_view where) {
  const bool sane = image.width >= 1 && image.height >= 1 && image.channels >= 1 && image.channels <= 4;
  if (!sane || static_cast<int64_t>(image.pixels.size()) != image.width * image.height * image.channels)
    throw usage_error(fmt::format("{}: a picture of {}x{} pixels with {} channels (1 to 4) cannot have {} bytes", where,
                                  image.width, image.height, image.channels, image.pixels.size()));
}

int64_t mode_channels(std::string_view mode) {
  static constexpr std::array<std::pair<std::string_view, int64_t>, 8> kModes = {
      {{"1", 1}, {"L", 1}, {"P", 1}, {"I;16", 1}, {"LA", 2}, {"RGB", 3}, {"RGBA", 4}, {"CMYK", 4}}};
  for (const auto& [name, channels] : kModes)
    if (name == mode) return channels;
  throw usage_error(fmt::format("unknown picture mode \"{}\"; expected 1, L, LA, P, RGB, RGBA, CMYK or I;16", mode));
}

int64_t mode_bytes(std::string_view mode) { return mode == "I;16" ? 2 : mode_channels(mode); }

DecodedImage decoded_image(Image image) {
  check_image(image, "decoded_image");
  static constexpr std::array<const char*, 5> kModes = {"", "L", "LA", "RGB", "RGBA"};
  return {image.width, image.height, kModes[static_cast<size_t>(image.channels)], std::move(image.pixels), {}, {}};
}

}  // namespace unnoise
