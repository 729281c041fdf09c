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
  const auto format = picture_format(bytes);
  if (!format)
    throw data_error(fmt::format("{}: not a {} picture ({} bytes)", where, kPictureFormats, bytes.size()),
                     "Convert the picture to one of these formats, or remove the file from the folder.");
  switch (*format) {
    case PictureFormat::png:
      return image_decode::decode_png(bytes, where);
    case PictureFormat::jpeg:
      return image_decode::decode_jpeg(bytes, where);
    case PictureFormat::webp:
      return image_decode::decode_webp(bytes, where);
    case PictureFormat::bmp:
      return image_decode::decode_bmp(bytes, where);
    case PictureFormat::gif:
      return image_decode::decode_gif(bytes, where);
    default:
      return image_decode::decode_tiff(bytes, where);
  }
}

}  // namespace

std::string_view format_name(PictureFormat format) {
  static constexpr std::array<std::string_view, 6> kNames = {"PNG", "JPEG", "WebP", "BMP", "GIF", "TIFF"};
  return kNames[static_cast<size_t>(format)];
}

std::optional<PictureFormat> picture_format(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return PictureFormat::png;
  if (bytes.starts_with("\xff\xd8\xff")) return PictureFormat::jpeg;
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return PictureFormat::webp;
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return PictureFormat::gif;
  for (const auto start : {"II\x2a\0"sv, "MM\0\x2a"sv, "II\x2b\0"sv, "MM\0\x2b"sv})  // the last two: BigTIFF
    if (bytes.starts_with(start)) return PictureFormat::tiff;
  // Two letters say little: the four bytes that are 0 in every writer's files say the rest.
  if (bytes.size() >= 18 && bytes.starts_with("BM") && bytes.substr(6, 4) == "\0\0\0\0"sv) return PictureFormat::bmp;
  return std::nullopt;
}

DecodedImage decode_image(std::string_view bytes, std::string_view where, Orientation orientation) {
  auto decoded = decode(bytes, where);
  if (orientation == Orientation::as_stored) return std::move(decoded.image);
  return image_decode::turned_upright(std::move(decoded.image), decoded.orientation);
}

DecodedImage read_image(const fs::path& path, Orientation orientation) {
  return decode_image(read_file(path), fmt::format("\"{}\"", path.string()), orientation);
}

bool is_image_name(const fs::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::find(kImageEndings, ending) != kImageEndings.end();
}

}  // namespace unnoise
