// PNG (ISO/IEC 15948) and its animated form: chunks by hand, compression by zlib.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/io/image_write.h"

namespace unnoise {
namespace {

void append_number(std::string& out, uint32_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

std::string number(uint32_t value, int bytes = 4) {
  std::string out;
  append_number(out, value, bytes);
  return out;
}

/// Length, type, data, checksum of type and data.
void append_chunk(std::string& png, std::string_view type, std::string_view data) {
  append_number(png, static_cast<uint32_t>(data.size()), 4);
  const size_t start = png.size();
  png.append(type).append(data);
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(png.data() + start), png.size() - start);
  append_number(png, static_cast<uint32_t>(crc), 4);
}

/// What filter `type` (0 to 4, clause 9.2) predicts from left, up and up-left.
uint8_t predicted(int type, int left, int up, int up_left) {
  switch (type) {
    case 1:
      return static_cast<uint8_t>(left);
    case 2:
      return static_cast<uint8_t>(up);
    case 3:
      return static_cast<uint8_t>((left + up) / 2);
    case 4: {  // Paeth: the neighbour nearest to left + up - up_left
      const int to_left = std::abs(up - up_left), to_up = std::abs(left - up_left);
      const int to_up_left = std::abs(left + up - 2 * up_left);
      if (to_left <= to_up && to_left <= to_up_left) return static_cast<uint8_t>(left);
      return static_cast<uint8_t>(to_up <= to_up_left ? up : up_left);
    }
    default:
      return 0;
  }
}

/// Every row with the filter whose residuals have the smallest sum of magnitudes (clause 12.8), and its type before it.
std::string filtered_rows(const Image& image) {
  const int64_t row_size = image.width * image.channels, step = image.channels;
  const std::vector<uint8_t> zeros(static_cast<size_t>(row_size));
  std::string out, best, trial;
  out.reserve(static_cast<size_t>(image.height * (row_size + 1)));
  for (int64_t y = 0; y < image.height; ++y) {
    const uint8_t *row = image.row(y), *above = y > 0 ? image.row(y - 1) : zeros.data();
    int64_t best_cost = std::numeric_limits<int64_t>::max();
    for (int type = 0; type <= 4; ++type) {
      trial.assign(1, static_cast<char>(type));
      int64_t cost = 0;
      for (int64_t i = 0; i < row_size; ++i) {
        const int left = i >= step ? row[i - step] : 0, up_left = i >= step ? above[i - step] : 0;
        const auto residual = static_cast<int8_t>(row[i] - predicted(type, left, above[i], up_left));
        trial.push_back(static_cast<char>(residual));
        cost += std::abs(residual);
      }
      if (cost < best_cost) {
        best_cost = cost;
        best.swap(trial);
      }
    }
    out += best;
  }
  return out;
}

/// The zlib stream of a picture's filtered rows: what IDAT and fdAT chunks hold.
std::string compressed_pixels(const Image& image) {
  const std::string rows = filtered_rows(image);
  uLongf size = compressBound(rows.size());
  std::string out(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(rows.data()), rows.size(),
                Z_DEFAULT_COMPRESSION) != Z_OK)
    throw environment_error("zlib could not compress a picture: not enough memory");
  out.resize(size);
  if (size > std::numeric_limits<int32_t>::max())
    throw usage_error(fmt::format("a picture of {}x{} pixels is too large for a PNG", image.width, image.height));
  return out;
}

void append_header(std::string& png, const Image& image) {
  static constexpr std::array<char, 5> kColourType = {0, 0, 4, 2, 6};  // by channels: grey, grey + alpha, RGB, RGBA
  png += "\x89PNG\r\n\x1a\n";
  std::string header = number(static_cast<uint32_t>(image.width)) + number(static_cast<uint32_t>(image.height));
  header +=
      {8, kColourType[static_cast<size_t>(image.channels)], 0, 0, 0};  // bits, type, deflate, filters, no interlace
  append_chunk(png, "IHDR", header);
}

void check_key(const std::string& key) {
  const bool printable = std::ranges::all_of(key, [](char c) { return c >= ' ' && c <= '~'; });
  const bool spaced = key.starts_with(' ') || key.ends_with(' ') || key.find("  ") != std::string::npos;
  if (key.empty() || key.size() > 79 || !printable || spaced)
    throw usage_error(
        fmt::format("PNG text key \"{}\": expected 1 to 79 printable ASCII characters with single spaces", key));
}

void append_text(std::string& png, const PngText& text) {
  for (const auto& [key, value] : text) {
    check_key(key);
    if (value.find('\0') != std::string::npos)
      throw usage_error(fmt::format("PNG text \"{}\": the value has a NUL", key));
    const bool ascii = std::ranges::all_of(value, [](char c) { return static_cast<unsigned char>(c) < 128; });
    const std::string separator(ascii ? 1 : 5,
                                '\0');  // iTXt: NUL, not compressed, method 0, no language, no translated key
    append_chunk(png, ascii ? "tEXt" : "iTXt", key + separator + value);
  }
}

void check_animation(const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms) {
  if (frames.empty()) throw usage_error("an animated PNG needs at least one frame");
  for (const int64_t ms : {frame_ms, last_frame_ms})
    if (ms < 1 || ms > 65535) throw usage_error(fmt::format("a frame of {} ms: expected 1 to 65535", ms));
  for (const Image& frame : frames) {
    check_image(frame, "encode_apng");
    if (frame.width != frames[0].width || frame.height != frames[0].height || frame.channels != frames[0].channels)
      throw usage_error("encode_apng: all frames must have the same size and channels");
  }
}

}  // namespace

std::string encode_png(const Image& image, const PngText& text) {
  check_image(image, "encode_png");
  std::string png;
  append_header(png, image);
  append_text(png, text);
  append_chunk(png, "IDAT", compressed_pixels(image));
  append_chunk(png, "IEND", "");
  return png;
}

std::string encode_apng(const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms) {
  check_animation(frames, frame_ms, last_frame_ms);
  std::string png;
  append_header(png, frames[0]);
  append_chunk(png, "acTL", number(static_cast<uint32_t>(frames.size())) + number(0));  // 0 plays: for ever
  const std::string extent = number(static_cast<uint32_t>(frames[0].width)) +
                             number(static_cast<uint32_t>(frames[0].height)) + number(0) + number(0);
  uint32_t sequence = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    const int64_t ms = i + 1 == frames.size() ? last_frame_ms : frame_ms;
    const std::string delay = number(static_cast<uint32_t>(ms), 2) + number(1000, 2);
    append_chunk(png, "fcTL",
                 number(sequence++) + extent + delay + std::string(2, '\0'));  // keep, and overwrite, the canvas
    const std::string pixels = compressed_pixels(frames[i]);
    if (i == 0)
      append_chunk(png, "IDAT", pixels);
    else
      append_chunk(png, "fdAT", number(sequence++) + pixels);
  }
  append_chunk(png, "IEND", "");
  return png;
}

void write_png(const fs::path& path, const Image& image, const PngText& text) {
  write_file_atomic(path, encode_png(image, text));
}

void write_apng(const fs::path& path, const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms) {
  write_file_atomic(path, encode_apng(frames, frame_ms, last_frame_ms));
}

}  // namespace unnoise
