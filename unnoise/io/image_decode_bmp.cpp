// Windows and OS/2 bitmaps (BITMAPCOREHEADER to BITMAPV5HEADER), into the modes that Pillow opens them in.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "unnoise/core/error.h"
#include "unnoise/io/image_decode.h"

namespace unnoise::image_decode {
namespace {

enum Compression : uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

struct BmpHeader {
  int64_t width = 0, height = 0;
  bool top_down = false;
  uint32_t bits = 0, compression = kRaw, colours = 0;
  size_t palette_at = 0, palette_step = 4, pixels_at = 0;
  std::array<uint32_t, 4> masks{};  // red, green, blue, alpha
};

class BmpFile {
 public:
  BmpFile(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  uint32_t number(size_t at, size_t width) const {
    if (at > bytes_.size() || bytes_.size() - at < width) fail("it ends too early");
    uint32_t value = 0;
    for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes_[at + i]);
    return value;
  }
  std::string_view from(size_t at, size_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size) fail("it ends too early");
    return bytes_.substr(at, size);
  }
  std::string_view from(size_t at) const { return bytes_.substr(std::min(at, bytes_.size())); }
  [[noreturn]] void fail(std::string_view why) const { fail_damaged(where_, "BMP", why); }
  [[noreturn]] void refuse(const std::string& what) const {
    throw data_error(fmt::format("{}: a BMP with {} cannot be read", where_, what), "Convert it, e.g. to PNG.");
  }

 private:
  std::string_view bytes_;
  std::string_view where_;
};

BmpHeader read_header(const BmpFile& file) {
  constexpr size_t kFileHeader = 14;
  BmpHeader h;
  const uint32_t size = file.number(kFileHeader, 4);
  h.pixels_at = file.number(10, 4);
  h.palette_at = kFileHeader + size;
  if (size == 12) {
    h.width = file.number(18, 2);
    h.height = file.number(20, 2);
    h.bits = file.number(24, 2);
    h.palette_step = 3;
  } else if (size == 40 || size == 52 || size == 56 || size == 64 || size == 108 || size == 124) {
    h.width = file.number(18, 4);
    const uint32_t height = file.number(22, 4);
    h.top_down = height >> 24 == 0xFF;  // a negative height
    h.height = h.top_down ? (int64_t{1} << 32) - height : height;
    h.bits = file.number(28, 2);
    h.compression = file.number(30, 4);
    h.colours = file.number(46, 4);
    if (h.compression == kBitFields) {
      for (size_t i = 0; i < 3; ++i) h.masks[i] = file.number(kFileHeader + 40 + 4 * i, 4);
      if (size >= 56) h.masks[3] = file.number(kFileHeader + 52, 4);
      if (size < 52) h.palette_at += 12;
    }
  } else {
    file.refuse(fmt::format("a header of {} bytes", size));
  }
  if (h.colours == 0) h.colours = 1U << std::min<uint32_t>(h.bits, 16);
  if (h.pixels_at == 0) h.pixels_at = h.palette_at + (h.bits <= 8 ? h.palette_step * h.colours : 0);
  if (h.pixels_at == kFileHeader + size && h.bits <= 8) h.pixels_at += h.palette_step * h.colours;
  return h;
}

/// Sets mode and palette. Greys in order are no palette, as in Pillow; black and white are mode "1".
void read_palette(const BmpFile& file, const BmpHeader& h, DecodedImage& image) {
  if (h.colours > 256) file.refuse(fmt::format("{} colours in its palette", h.colours));
  const auto stored = file.from(h.palette_at, h.palette_step * h.colours);
  bool grey = true;
  for (size_t i = 0; i < h.colours; ++i) {
    for (const size_t c : {2, 1, 0}) {  // blue, green, red
      const auto value = static_cast<uint8_t>(stored[h.palette_step * i + c]);
      image.palette.push_back(value);
      grey = grey && value == (h.colours == 2 ? 255 * i : i);
    }
  }
  const bool is_black_and_white = h.bits == 1 && grey && h.colours == 2;
  const bool is_grey = h.bits == 8 && grey && h.colours > 2;
  image.mode = is_black_and_white ? "1" : is_grey ? "L" : "P";
  if (image.mode != "P") image.palette.clear();
}

/// Which bits of a pixel are red, green, blue and alpha. Pillow's list: other masks are refused there.
std::array<uint32_t, 4> masks_of(const BmpFile& file, const BmpHeader& h) {
  using Masks = std::array<uint32_t, 4>;
  constexpr Masks kBgr{0xFF0000, 0xFF00, 0xFF, 0}, k555{0x7C00, 0x3E0, 0x1F, 0}, k565{0xF800, 0x7E0, 0x1F, 0};
  constexpr Masks kBgra{0xFF0000, 0xFF00, 0xFF, 0xFF000000};
  if (h.compression == kRaw) return h.bits == 16 ? k555 : kBgr;
  static constexpr Masks kOf32[] = {kBgr,
                                    {0xFF000000, 0xFF0000, 0xFF00, 0},
                                    {0xFF000000, 0xFF00, 0xFF, 0},
                                    {0xFF000000, 0xFF0000, 0xFF00, 0xFF},
                                    {0xFF, 0xFF00, 0xFF0000, 0xFF000000},
                                    kBgra,
                                    {0xFF000000, 0xFF00, 0xFF, 0xFF0000}};
  if (h.bits == 32 && h.masks == Masks{}) return kBgra;
  if (h.bits == 32 && std::find(std::begin(kOf32), std::end(kOf32), h.masks) != std::end(kOf32)) return h.masks;
  const Masks colours{h.masks[0], h.masks[1], h.masks[2], 0};
  if ((h.bits == 24 && colours == kBgr) || (h.bits == 16 && (colours == k555 || colours == k565))) return colours;
  file.refuse(fmt::format("{} bits a pixel and the masks {:x}, {:x}, {:x}, {:x}", h.bits, h.masks[0], h.masks[1],
                          h.masks[2], h.masks[3]));
}

/// The bits of `mask`, stretched to a byte.
uint8_t channel(uint32_t pixel, uint32_t mask) {
  while (!(mask & 1)) {
    mask >>= 1;
    pixel >>= 1;
  }
  return static_cast<uint8_t>((pixel & mask) * 255 / mask);
}

/// Bytes from one row to the next.
size_t stride_of(const BmpHeader& h) { return (static_cast<size_t>(h.width) * h.bits + 31) / 32 * 4; }

/// All rows, before memory is set aside for them; the padding of the last may be missing.
std::string_view stored_rows(const BmpFile& file, const BmpHeader& h) {
  const size_t last = (static_cast<size_t>(h.width) * h.bits + 7) / 8;
  return file.from(h.pixels_at, stride_of(h) * static_cast<size_t>(h.height - 1) + last);
}

void read_colours(const BmpFile& file, const BmpHeader& h, DecodedImage& image) {
  const auto masks = masks_of(file, h);
  image.mode = masks[3] ? "RGBA" : "RGB";
  const size_t channels = image.mode.size(), bytes = h.bits / 8;
  stored_rows(file, h);
  image.pixels.resize(static_cast<size_t>(h.width * h.height) * channels);
  uint8_t* to = image.pixels.data();
  for (int64_t y = 0; y < h.height; ++y) {
    const size_t row = h.pixels_at + stride_of(h) * static_cast<size_t>(h.top_down ? y : h.height - 1 - y);
    for (int64_t x = 0; x < h.width; ++x) {
      const uint32_t pixel = file.number(row + bytes * static_cast<size_t>(x), bytes);
      for (size_t c = 0; c < channels; ++c) *to++ = channel(pixel, masks[c]);
    }
  }
}

void read_indices(const BmpFile& file, const BmpHeader& h, DecodedImage& image) {
  const auto rows = stored_rows(file, h);
  image.pixels.reserve(static_cast<size_t>(h.width * h.height));
  for (int64_t y = 0; y < h.height; ++y) {
    const auto row = rows.substr(stride_of(h) * static_cast<size_t>(h.top_down ? y : h.height - 1 - y), stride_of(h));
    for (size_t x = 0; x < static_cast<size_t>(h.width); ++x) {
      const size_t bit = x * h.bits;
      const int value = static_cast<uint8_t>(row[bit / 8]) >> (8 - h.bits - bit % 8) & ((1 << h.bits) - 1);
      image.pixels.push_back(static_cast<uint8_t>(image.mode == "1" ? 255 * value : value));
    }
  }
}

/// Runs of one index, runs written out, ends of lines, jumps: what is jumped over is index 0. Rows from the bottom.
std::vector<uint8_t> unpack_runs(const BmpFile& file, const BmpHeader& h) {
  const auto packed = file.from(h.pixels_at);
  const auto width = static_cast<size_t>(h.width), count = static_cast<size_t>(h.width * h.height);
  const bool halves = h.compression == kRle4;
  std::vector<uint8_t> out;  // grows with the file
  size_t at = 0, x = 0;
  const auto byte = [&]() -> size_t {
    if (at >= packed.size()) file.fail("its pixels end too early");
    return static_cast<uint8_t>(packed[at++]);
  };
  const auto index = [&](size_t pair, size_t i) {
    return static_cast<uint8_t>(!halves ? pair : i % 2 == 0 ? pair >> 4 : pair & 15);
  };
  const auto skip = [&](size_t pixels) { out.resize(std::min(count, out.size() + pixels)); };
  while (out.size() < count) {
    const size_t run = byte(), value = byte();
    if (run > 0) {
      const size_t fits = std::min(run, width - std::min(x, width));
      for (size_t i = 0; i < fits; ++i) out.push_back(index(value, i));
      x += fits;
    } else if (value == 0) {
      skip((width - out.size() % width) % width);
      x = 0;
    } else if (value == 1) {
      break;
    } else if (value == 2) {
      const size_t right = byte(), up = byte();
      skip(right + up * width);
      x = out.size() % width;
    } else {
      const size_t pixels = std::min(value, count - out.size());
      for (size_t i = 0, pair = 0; i < pixels; ++i) {
        if (!halves || i % 2 == 0) pair = byte();
        out.push_back(index(pair, i));
      }
      x += value;
      if ((h.pixels_at + at) % 2 != 0) ++at;  // pairs of bytes
    }
  }
  if (out.size() < count) file.fail("its pixels end too early");
  out.resize(count);
  return out;
}

void read_runs(const BmpFile& file, const BmpHeader& h, DecodedImage& image) {
  image.pixels = unpack_runs(file, h);
  if (image.mode == "1")
    for (uint8_t& value : image.pixels) value = value ? 255 : 0;
  if (h.top_down) return;
  for (int64_t y = 0; y < h.height / 2; ++y)
    std::swap_ranges(image.pixels.begin() + y * h.width, image.pixels.begin() + (y + 1) * h.width,
                     image.pixels.begin() + (h.height - 1 - y) * h.width);
}

}  // namespace

Decoded decode_bmp(std::string_view bytes, std::string_view where) {
  const BmpFile file(bytes, where);
  const BmpHeader h = read_header(file);
  check_size(h.width, h.height, where);
  DecodedImage image{h.width, h.height, "", {}, {}, {}};
  const bool is_palette = h.bits == 1 || h.bits == 4 || h.bits == 8;
  const bool is_colour = h.bits == 16 || h.bits == 24 || h.bits == 32;
  const bool is_packed = h.compression == kRle8 || h.compression == kRle4;
  if (is_palette && (h.compression == kRaw || is_packed)) {
    read_palette(file, h, image);
    is_packed ? read_runs(file, h, image) : read_indices(file, h, image);
  } else if (is_colour && (h.compression == kRaw || h.compression == kBitFields)) {
    read_colours(file, h, image);
  } else {
    file.refuse(fmt::format("{} bits a pixel and compression {}", h.bits, h.compression));
  }
  return {std::move(image), 1};
}

}  // namespace unnoise::image_decode
