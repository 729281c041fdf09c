#include "unnoise/io/image_read.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>

#include "unnoise/core/error.h"
#include "unnoise/io/image_decode.h"

namespace unnoise {
namespace image_decode {

void check_size(int64_t width, int64_t height, std::string_view where) {
  if (width < 1 || height < 1)
    throw data_error(fmt::format("{}: the picture has no pixels ({}x{})", where, width, height));
  if (width > kMaxImagePixels / height)
    throw data_error(fmt::format("{}: the picture claims {}x{} pixels; at most {} are accepted", where, width, height,
                                 kMaxImagePixels),
                     "Scale the picture down first, or remove the file: it may be made to exhaust memory.");
}

void fail_damaged(std::string_view where, std::string_view format, std::string_view why) {
  throw data_error(fmt::format("{}: the {} is damaged or cut short: {}", where, format, why),
                   "Copy or download the file again, or remove it from the folder.");
}

}  // namespace image_decode

namespace {

image_decode::Decoded decode(std::string_view bytes, std::string_view where) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return image_decode::decode_png(bytes, where);
  if (bytes.starts_with("\xff\xd8\xff")) return image_decode::decode_jpeg(bytes, where);
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP")
    return image_decode::decode_webp(bytes, where);
  throw data_error(fmt::format("{}: neither PNG nor JPEG nor WebP ({} bytes)", where, bytes.size()),
                   "Convert the picture to one of these formats, or remove the file from the folder.");
}

}  // namespace

DecodedImage decode_image(std::string_view bytes, std::string_view where, Orientation orientation) {
  auto decoded = decode(bytes, where);
  if (orientation == Orientation::as_stored) return std::move(decoded.image);
  return image_decode::turned_upright(std::move(decoded.image), decoded.orientation);
}

DecodedImage read_image(const fs::path& path, Orientation orientation) {
  return decode_image(read_file(path), fmt::format("\"{}\"", path.string()), orientation);
}

bool is_image_name(const fs::path& path) {
  static constexpr std::array<std::string_view, 4> kEndings = {".png", ".jpg", ".jpeg", ".webp"};
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::find(kEndings, ending) != kEndings.end();
}

}  // namespace unnoise
