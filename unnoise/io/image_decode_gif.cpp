// The first picture of a GIF (GIF89a specification, CompuServe 1990), into the modes that Pillow opens it in.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "unnoise/io/image_decode.h"

namespace unnoise::image_decode {
namespace {

class GifBytes {
 public:
  GifBytes(std::string_view bytes, std::string_view where) : rest_(bytes), where_(where) {}

  std::string_view take(size_t count) {
    if (rest_.size() < count) fail("it ends too early");
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  int byte() { return static_cast<uint8_t>(take(1)[0]); }
  int word() {
    const auto two = take(2);
    return static_cast<uint8_t>(two[0]) | static_cast<uint8_t>(two[1]) << 8;
  }
  /// A block with its length before it; "" ends a row of them.
  std::string_view block() { return take(static_cast<size_t>(byte())); }
  [[noreturn]] void fail(std::string_view why) const { fail_damaged(where_, "GIF", why); }

 private:
  std::string_view rest_;
  std::string_view where_;
};

/// Codes of growing width, lowest bit first, out of blocks.
class GifCodes {
 public:
  explicit GifCodes(GifBytes& bytes) : bytes_(bytes) {}

  uint32_t next(int width) {
    while (held_bits_ < width) {
      if (block_.empty()) block_ = bytes_.block();
      if (block_.empty()) bytes_.fail("its pixels end too early");
      held_ |= static_cast<uint32_t>(static_cast<uint8_t>(block_[0])) << held_bits_;
      held_bits_ += 8;
      block_.remove_prefix(1);
    }
    const uint32_t code = held_ & ((1U << width) - 1);
    held_ >>= width;
    held_bits_ -= width;
    return code;
  }

 private:
  GifBytes& bytes_;
  std::string_view block_;
  uint32_t held_ = 0;
  int held_bits_ = 0;
};

/// GIF's variant of LZW (Welch 1984). Fills `pixels`; what follows is not looked at.
void unpack_lzw(GifBytes& bytes, std::vector<uint8_t>& pixels) {
  constexpr uint32_t kMaxCodes = 4096;
  const int symbol_bits = bytes.byte();
  if (symbol_bits < 1 || symbol_bits > 11) bytes.fail(fmt::format("symbols of {} bits", symbol_bits));
  const uint32_t clear = 1U << symbol_bits, end = clear + 1;
  std::array<uint16_t, kMaxCodes> prefix{};  // of codes above `end`: the code before the last symbol
  std::array<uint8_t, kMaxCodes> last{};     // and that symbol
  std::array<uint8_t, kMaxCodes> turned{};   // the symbols of one code, last first
  GifCodes codes(bytes);
  uint32_t free = end + 1;
  int width = symbol_bits + 1;
  constexpr uint32_t kNone = kMaxCodes;
  uint32_t before = kNone;
  uint8_t first = 0;  // symbol of the code before
  for (size_t at = 0; at < pixels.size();) {
    const uint32_t code = codes.next(width);
    if (code == clear) {
      free = end + 1;
      width = symbol_bits + 1;
      before = kNone;
      continue;
    }
    if (code == end) bytes.fail("its pixels end too early");
    if (code > free || (code >= clear && before == kNone)) bytes.fail("a code that was not defined");
    size_t count = 0;
    uint32_t left = code;
    if (code == free) {  // not defined yet: the code before and its own first symbol
      if (before == kNone || free >= kMaxCodes) bytes.fail("a code that was not defined");
      turned[count++] = first;
      left = before;
    }
    for (; left >= clear && count < kMaxCodes - 1; left = prefix[left]) turned[count++] = last[left];
    first = static_cast<uint8_t>(left);
    turned[count++] = first;
    if (before != kNone && free < kMaxCodes) {
      prefix[free] = static_cast<uint16_t>(before);
      last[free++] = first;
      if (free == 1U << width && width < 12) ++width;
    }
    before = code;
    while (count > 0 && at < pixels.size()) pixels[at++] = turned[--count];
  }
}

/// The row that comes as the i-th: all of them, or every 8th, then those between, then the rest.
int64_t row_of(int64_t i, int64_t height, bool interlaced) {
  if (!interlaced) return i;
  for (const auto& [first, step] : {std::pair{0, 8}, {4, 8}, {2, 4}, {1, 2}}) {
    const int64_t rows = first < height ? (height - first + step - 1) / step : 0;
    if (i < rows) return first + i * step;
    i -= rows;
  }
  return 0;
}

/// A palette that is not just greys in order: then the indices are the greys.
std::string_view colours_of(std::string_view palette) {
  for (size_t i = 0; i < palette.size(); ++i)
    if (static_cast<uint8_t>(palette[i]) != i / 3) return palette;
  return {};
}

struct Screen {
  int64_t width = 0, height = 0;
  std::string_view palette;
};

Screen read_screen(GifBytes& bytes) {
  bytes.take(6);
  Screen screen;
  screen.width = bytes.word();
  screen.height = bytes.word();
  const int flags = bytes.byte();
  bytes.take(2);  // background colour and aspect ratio
  if (flags & 128) screen.palette = colours_of(bytes.take(size_t{3} << ((flags & 7) + 1)));
  return screen;
}

/// Goes to the first picture. Gives the transparent colour, if there is one.
std::optional<uint8_t> find_picture(GifBytes& bytes) {
  std::optional<uint8_t> transparent;
  for (;;) {
    const int kind = bytes.byte();
    if (kind == ',') return transparent;
    if (kind == ';') bytes.fail("it holds no picture");
    if (kind != '!') continue;  // Pillow, too, skips what it does not know
    constexpr int kGraphicControl = 0xF9;
    const bool is_control = bytes.byte() == kGraphicControl;
    const auto block = bytes.block();
    if (is_control && block.size() >= 4 && block[0] & 1) transparent = static_cast<uint8_t>(block[3]);
    for (auto more = block; !more.empty();) more = bytes.block();
  }
}

}  // namespace

Decoded decode_gif(std::string_view all, std::string_view where) {
  GifBytes bytes(all, where);
  const Screen screen = read_screen(bytes);
  const auto transparent = find_picture(bytes);
  const int64_t left = bytes.word(), top = bytes.word(), width = bytes.word(), height = bytes.word();
  const int flags = bytes.byte();
  std::string_view palette = screen.palette;
  if (flags & 128) palette = colours_of(bytes.take(size_t{3} << ((flags & 7) + 1)));
  const int64_t full_width = std::max(screen.width, left + width), full_height = std::max(screen.height, top + height);
  check_size(full_width, full_height, where);
  if (width < 1 || height < 1) bytes.fail("its picture has no pixels");

  DecodedImage image{full_width, full_height, palette.empty() ? "L" : "P", {}, {}, {}};
  image.palette.assign(palette.begin(), palette.end());
  if (!palette.empty() && transparent) {
    image.palette_alpha.assign(*transparent + size_t{1}, 255);
    image.palette_alpha.back() = 0;
  }
  std::vector<uint8_t> pixels(static_cast<size_t>(width * height));
  unpack_lzw(bytes, pixels);
  image.pixels.assign(static_cast<size_t>(full_width * full_height), transparent.value_or(0));
  for (int64_t i = 0; i < height; ++i)
    std::copy_n(pixels.data() + i * width, width,
                image.pixels.data() + (top + row_of(i, height, flags & 64)) * full_width + left);
  return {std::move(image), 1};
}

}  // namespace unnoise::image_decode
