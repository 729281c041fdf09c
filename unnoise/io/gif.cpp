// Animated GIF (GIF89a): full frames, each with its own palette.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/io/gif_palette.h"
#include "unnoise/io/image_write.h"

namespace unnoise {
namespace {

void append_word(std::string& out, int64_t value) {  // little endian
  out.push_back(static_cast<char>(value & 255));
  out.push_back(static_cast<char>(value >> 8));
}

/// Codes of 3 to 12 bits, lowest bit first, in blocks of at most 255 bytes with their length before them.
class BitBlocks {
 public:
  explicit BitBlocks(std::string& out) : out_(out) {}

  void put(uint32_t code, int bits) {
    held_ |= code << held_bits_;
    held_bits_ += bits;
    for (; held_bits_ >= 8; held_bits_ -= 8, held_ >>= 8) push(static_cast<char>(held_ & 255));
  }
  void finish() {
    if (held_bits_ > 0) push(static_cast<char>(held_ & 255));
    flush();
    out_.push_back('\0');
  }

 private:
  void push(char byte) {
    block_.push_back(byte);
    if (block_.size() == 255) flush();
  }
  void flush() {
    if (block_.empty()) return;
    out_.push_back(static_cast<char>(block_.size()));
    out_ += block_;
    block_.clear();
  }

  std::string& out_;
  std::string block_;
  uint32_t held_ = 0;
  int held_bits_ = 0;
};

/// GIF's variant of LZW (Welch 1984): two codes above the symbols clear the table and end the data; when the 4096 codes
/// are used up, the table is cleared.
void append_lzw(std::string& out, const std::vector<uint8_t>& indices, int symbol_bits) {
  constexpr uint32_t kMaxCodes = 4096;
  const uint32_t symbols = 1U << symbol_bits, clear = symbols, end = symbols + 1;
  std::vector<uint16_t> longer(kMaxCodes * symbols);  // [prefix code, next symbol] -> code, 0 = none yet
  out.push_back(static_cast<char>(symbol_bits));
  BitBlocks codes(out);
  uint32_t next = end + 1;
  int bits = symbol_bits + 1;
  codes.put(clear, bits);
  uint32_t prefix = indices[0];
  for (size_t i = 1; i < indices.size(); ++i) {
    const size_t key = prefix * symbols + indices[i];
    if (longer[key] != 0) {
      prefix = longer[key];
      continue;
    }
    codes.put(prefix, bits);
    prefix = indices[i];
    if (next == kMaxCodes) {
      codes.put(clear, bits);
      std::ranges::fill(longer, uint16_t{0});
      next = end + 1;
      bits = symbol_bits + 1;
      continue;
    }
    if (next == (1U << bits)) ++bits;
    longer[key] = static_cast<uint16_t>(next++);
  }
  codes.put(prefix, bits);
  if (next == (1U << bits) && bits < 12) ++bits;  // the reader has added one more code by now
  codes.put(end, bits);
  codes.finish();
}

void append_frame(std::string& gif, const Image& frame, int64_t hundredths) {
  const Indexed picture = indexed(frame);
  const int palette_bits = std::max(static_cast<int>(std::bit_width(picture.palette.size() - 1)), 1);
  gif += std::string_view("\x21\xF9\x04\x04", 4);  // graphic control: leave the frame in place, no transparency
  append_word(gif, hundredths);
  gif.append(2, '\0');
  gif.push_back('\x2C');  // image descriptor
  append_word(gif, 0);
  append_word(gif, 0);
  append_word(gif, frame.width);
  append_word(gif, frame.height);
  gif.push_back(static_cast<char>(0x80 | (palette_bits - 1)));  // its own palette
  for (const Colour& colour : picture.palette)
    for (const uint8_t component : colour) gif.push_back(static_cast<char>(component));
  gif.append(3 * ((size_t{1} << palette_bits) - picture.palette.size()), '\0');
  append_lzw(gif, picture.indices, std::max(palette_bits, 2));
}

void check_frames(const std::vector<Image>& frames) {
  if (frames.empty()) throw usage_error("an animated GIF needs at least one frame");
  for (const Image& frame : frames) {
    check_image(frame, "encode_gif");
    if (frame.channels != 1 && frame.channels != 3)
      throw usage_error(fmt::format("encode_gif: a frame has {} channels; expected 1 or 3", frame.channels));
    if (frame.width != frames[0].width || frame.height != frames[0].height)
      throw usage_error("encode_gif: all frames must have the same size");
  }
  if (frames[0].width > 65535 || frames[0].height > 65535)
    throw usage_error(fmt::format("encode_gif: {}x{} is too large; a GIF's sides are at most 65535", frames[0].width,
                                  frames[0].height));
}

int64_t hundredths_of(int64_t ms) {
  if (ms < 0 || ms > 655350) throw usage_error(fmt::format("a frame of {} ms: expected 0 to 655350", ms));
  return std::max<int64_t>((ms + 5) / 10, 2);
}

}  // namespace

std::string encode_gif(const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms) {
  check_frames(frames);
  std::string gif = "GIF89a";
  append_word(gif, frames[0].width);
  append_word(gif, frames[0].height);
  gif += std::string_view("\x70\0\0", 3);                                // no palette for all, 8 bits a channel
  gif += std::string_view("\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0", 19);  // loop for ever
  const int64_t delay = hundredths_of(frame_ms), last_delay = hundredths_of(last_frame_ms);
  for (size_t i = 0; i < frames.size(); ++i) append_frame(gif, frames[i], i + 1 == frames.size() ? last_delay : delay);
  gif.push_back('\x3B');
  return gif;
}

void write_gif(const fs::path& path, const std::vector<Image>& frames, int64_t frame_ms, int64_t last_frame_ms) {
  write_file_atomic(path, encode_gif(frames, frame_ms, last_frame_ms));
}

}  // namespace unnoise
