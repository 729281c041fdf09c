#include "unnoise/data/picture_header.h"

#include <cerrno>
#include <fstream>

#include "unnoise/io/image_read.h"

namespace unnoise {
namespace {

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n";
constexpr size_t kFirstRead = 16 << 10;

bool is_png(std::string_view b) { return b.starts_with(kPngSignature); }
bool is_jpeg(std::string_view b) { return b.starts_with("\xFF\xD8\xFF"); }
bool is_webp(std::string_view b) { return b.size() >= 12 && b.starts_with("RIFF") && b.substr(8, 4) == "WEBP"; }

/// `count` bytes at `at` as a number; callers have checked the bounds.
uint32_t number(std::string_view b, size_t at, size_t count, bool big_endian) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto byte = static_cast<uint8_t>(b[at + (big_endian ? i : count - 1 - i)]);
    value = value << 8 | byte;
  }
  return value;
}
uint32_t big(std::string_view b, size_t at, size_t count) { return number(b, at, count, true); }
uint32_t little(std::string_view b, size_t at, size_t count) { return number(b, at, count, false); }

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

PictureProbe judged(std::optional<PictureSize> size, const char* otherwise) {
  if (!size) return {std::nullopt, otherwise};
  if (size->width < 1 || size->height < 1) return {std::nullopt, "has no pixels"};
  if (size->width > kMaxImagePixels / size->height) return {std::nullopt, "has too many pixels"};
  return {size, ""};
}

}  // namespace

PictureProbe probe_picture(std::string_view bytes) {
  constexpr const char* kCut = "ends within its header";
  if (bytes.empty()) return {std::nullopt, "is empty"};
  if (is_png(bytes)) return judged(png_size(bytes), kCut);
  if (is_jpeg(bytes)) return judged(jpeg_size(bytes), kCut);
  if (is_webp(bytes)) return judged(webp_size(bytes), kCut);
  return {std::nullopt, "is not a PNG, JPEG or WebP picture"};
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
  const bool may_stand_further_back = !probe.size && in && (is_jpeg(bytes) || is_webp(bytes));
  if (!may_stand_further_back) return probe;
  try {
    return probe_picture(read_file(path));
  } catch (const std::exception&) {
    return {std::nullopt, "cannot be read"};
  }
}

}  // namespace unnoise
