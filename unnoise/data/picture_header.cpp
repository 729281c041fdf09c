#include "unnoise/data/picture_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "unnoise/io/image_read.h"

namespace unnoise {
namespace {

constexpr size_t kFirstRead = 16 << 10;

/// `count` bytes at `at` as a number; callers have checked the bounds.
uint64_t number(std::string_view b, size_t at, size_t count, bool big_endian) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto byte = static_cast<uint8_t>(b[at + (big_endian ? i : count - 1 - i)]);
    value = value << 8 | byte;
  }
  return value;
}
uint32_t big(std::string_view b, size_t at, size_t count) { return static_cast<uint32_t>(number(b, at, count, true)); }
uint32_t little(std::string_view b, size_t at, size_t count) {
  return static_cast<uint32_t>(number(b, at, count, false));
}

/// Calls f(marker, payload) for each segment before the pixels until it returns false or the bytes end; a payload that
/// the bytes cut short is passed as far as it goes.
template <class F>
void for_each_jpeg_segment(std::string_view b, F f) {
  for (size_t at = 2; at + 4 <= b.size();) {
    if (b[at] != '\xFF') return;
    const auto marker = static_cast<uint8_t>(b[at + 1]);
    if (marker == 0xFF) {  // fill byte
      ++at;
      continue;
    }
    if (marker == 0xD9 || marker == 0xDA) return;  // end of the picture, start of the pixels
    const size_t length = big(b, at + 2, 2);
    if (length < 2 || !f(marker, b.substr(at + 4, length - 2))) return;
    at += 2 + length;
  }
}

template <class F>
void for_each_webp_chunk(std::string_view b, F f) {
  for (size_t at = 12; at + 8 <= b.size();) {
    const size_t length = little(b, at + 4, 4);
    if (!f(b.substr(at, 4), b.substr(at + 8, length))) return;
    at += 8 + length + (length & 1);
  }
}

std::optional<PictureSize> png_size(std::string_view b) {
  if (b.size() < 24 || b.substr(12, 4) != "IHDR") return std::nullopt;
  return PictureSize{big(b, 16, 4), big(b, 20, 4)};
}

std::optional<PictureSize> jpeg_size(std::string_view b) {
  std::optional<PictureSize> size;
  for_each_jpeg_segment(b, [&](uint8_t marker, std::string_view payload) {
    const bool start_of_frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (start_of_frame && payload.size() >= 5) size = PictureSize{big(payload, 3, 2), big(payload, 1, 2)};
    return !start_of_frame;
  });
  return size;
}

std::optional<PictureSize> webp_size(std::string_view b) {
  std::optional<PictureSize> size;
  for_each_webp_chunk(b, [&](std::string_view type, std::string_view p) {
    if (type == "VP8X" && p.size() >= 10) size = PictureSize{little(p, 4, 3) + 1, little(p, 7, 3) + 1};
    if (type == "VP8 " && p.size() >= 10) size = PictureSize{little(p, 6, 2) & 0x3FFF, little(p, 8, 2) & 0x3FFF};
    if (type == "VP8L" && p.size() >= 5) {
      const uint32_t bits = little(p, 1, 4);
      size = PictureSize{(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1};
    }
    return !size;
  });
  return size;
}

std::optional<PictureSize> bmp_size(std::string_view b) {
  constexpr size_t kFileHeader = 14, kOldHeader = 12;
  if (b.size() < 26) return std::nullopt;
  if (little(b, kFileHeader, 4) == kOldHeader) return PictureSize{little(b, 18, 2), little(b, 20, 2)};
  const auto height = static_cast<int32_t>(little(b, 22, 4));  // below 0: rows from the top
  return PictureSize{little(b, 18, 4), height < 0 ? -int64_t{height} : int64_t{height}};
}

std::optional<PictureSize> gif_size(std::string_view b) {
  if (b.size() < 10) return std::nullopt;
  return PictureSize{little(b, 6, 2), little(b, 8, 2)};
}

/// Of the first directory, which may stand anywhere; a TIFF, or a BigTIFF with its wider fields.
std::optional<PictureSize> tiff_size(std::string_view b) {
  constexpr uint64_t kWidth = 256, kHeight = 257, kShort = 3;
  if (b.size() < 16) return std::nullopt;
  const bool is_big_endian = b[0] == 'M';
  const auto at = [&](size_t place, size_t count) { return number(b, place, count, is_big_endian); };
  const bool is_big = at(2, 2) == 43;
  const size_t word = is_big ? 8 : 4, count_width = is_big ? 8 : 2, entry_size = is_big ? 20 : 12;
  const uint64_t directory = at(is_big ? 8 : 4, word);
  if (directory > b.size() || b.size() - directory < count_width) return std::nullopt;
  const uint64_t entries = std::min<uint64_t>(at(directory, count_width), 65535);
  std::optional<int64_t> width, height;
  for (uint64_t i = 0; i < entries; ++i) {
    const size_t entry = directory + count_width + entry_size * i;
    if (entry + entry_size > b.size()) return std::nullopt;
    const uint64_t tag = at(entry, 2);
    if (tag != kWidth && tag != kHeight) continue;
    const size_t value_at = entry + 4 + word;
    const auto value = static_cast<int64_t>(at(value_at, at(entry + 2, 2) == kShort ? 2 : 4));
    (tag == kWidth ? width : height) = value;
  }
  if (!width || !height) return PictureSize{};
  return PictureSize{*width, *height};
}

std::optional<PictureSize> size_in(std::string_view b, PictureFormat format) {
  switch (format) {
    case PictureFormat::png:
      return png_size(b);
    case PictureFormat::jpeg:
      return jpeg_size(b);
    case PictureFormat::webp:
      return webp_size(b);
    case PictureFormat::bmp:
      return bmp_size(b);
    case PictureFormat::gif:
      return gif_size(b);
    default:
      return tiff_size(b);
  }
}

PictureProbe judged(std::optional<PictureSize> size) {
  if (!size) return {std::nullopt, "ends within its header"};
  if (size->width < 1 || size->height < 1) return {std::nullopt, "has no pixels"};
  if (size->width > kMaxImagePixels / size->height) return {std::nullopt, "has too many pixels"};
  return {size, ""};
}

}  // namespace

PictureProbe probe_picture(std::string_view bytes) {
  if (bytes.empty()) return {std::nullopt, "is empty"};
  if (const auto format = picture_format(bytes)) return judged(size_in(bytes, *format));
  return {std::nullopt, fmt::format("is not a {} picture", kPictureFormats)};
}

PictureProbe probe_picture_file(const fs::path& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return {std::nullopt, errno == ENOENT ? "does not exist" : "cannot be opened"};
  std::string bytes(kFirstRead, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(in.gcount()));
  if (in.bad()) return {std::nullopt, "cannot be read"};
  auto probe = probe_picture(bytes);
  const auto format = picture_format(bytes);
  const bool may_stand_further_back =
      !probe.size && in &&
      (format == PictureFormat::jpeg || format == PictureFormat::webp || format == PictureFormat::tiff);
  if (!may_stand_further_back) return probe;
  try {
    return probe_picture(read_file(path));
  } catch (const std::exception&) {
    return {std::nullopt, "cannot be read"};
  }
}

}  // namespace unnoise
