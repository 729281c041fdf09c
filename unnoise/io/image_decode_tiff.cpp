// TIFF into the modes that Pillow opens it in: which samples mean what (the pixels come from containers/tiff.h).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "unnoise/containers/tiff.h"
#include "unnoise/core/error.h"
#include "unnoise/io/image_decode.h"

namespace unnoise::image_decode {
namespace {

constexpr int kWhiteIsZero = 0, kBlackIsZero = 1, kRgb = 2, kPalette = 3, kCmyk = 5;
constexpr int kPremultiplied = 1;

/// A mode and which of the samples it takes, the first ones.
struct Meaning {
  std::string mode;
  bool premultiplied = false;
};

/// Nothing for what Pillow cannot open, or opens in a mode without 8 bits a sample.
std::optional<Meaning> meaning_of(const TiffPicture& t) {
  if (t.sample_format != 1 && !(t.sample_format == 2 && t.bits == 8 && t.photometric == kBlackIsZero))
    return std::nullopt;
  const int first_extra = t.extra.empty() ? -1 : t.extra[0];
  const bool only_unknown_after =
      t.extra.empty() || std::all_of(t.extra.begin() + 1, t.extra.end(), [](int kind) { return kind == 0; });
  const int colours = t.samples - static_cast<int>(t.extra.size());
  if (!only_unknown_after) return std::nullopt;
  switch (t.photometric) {
    case kWhiteIsZero:
    case kBlackIsZero:
      if (colours == 1 && t.extra.empty()) {
        if (t.bits == 12 && t.photometric == kWhiteIsZero) return std::nullopt;
        return Meaning{t.bits == 1 ? "1" : t.bits > 8 ? "I;16" : "L"};
      }
      if (colours != 1 || t.samples != 2 || t.bits != 8 || t.photometric == kWhiteIsZero) return std::nullopt;
      if (first_extra == 0) return Meaning{"L"};
      return first_extra == 2 ? std::optional(Meaning{"LA"}) : std::nullopt;
    case kRgb:
      if (t.bits != 8 && t.bits != 16) return std::nullopt;
      if (colours == 4 && t.extra.empty()) return Meaning{"RGBA"};  // which is not said
      if (colours != 3) return std::nullopt;
      if (first_extra <= 0) return Meaning{"RGB"};
      return Meaning{"RGBA", first_extra == kPremultiplied};
    case kPalette:
      if (colours != 1 || t.bits > 8 || (t.bits != 8 && !t.extra.empty())) return std::nullopt;
      return Meaning{"P"};
    case kCmyk:
      if (colours != 4 || (t.bits != 8 && t.bits != 16)) return std::nullopt;
      return Meaning{"CMYK"};
    default:
      return std::nullopt;
  }
}

/// Sample `i` of a row, as stored.
uint32_t sample(const uint8_t* row, int64_t i, int bits) {
  if (bits == 16) {
    uint16_t value;
    std::memcpy(&value, row + 2 * i, 2);
    return value;
  }
  if (bits == 12)
    return i % 2 == 0 ? row[i / 2 * 3] << 4 | row[i / 2 * 3 + 1] >> 4
                      : (row[i / 2 * 3 + 1] & 15) << 8 | row[i / 2 * 3 + 2];
  const int64_t bit = i * bits;
  return row[bit / 8] >> (8 - bits - bit % 8) & ((1 << bits) - 1);
}

/// A sample in a mode of 8 bits: the upper byte of 16, small numbers stretched, palettes' indices as they are.
uint8_t as_byte(uint32_t value, const TiffPicture& t) {
  if (t.bits == 16) return static_cast<uint8_t>(value >> 8);
  if (t.photometric == kPalette) return static_cast<uint8_t>(value);
  const auto stretched = static_cast<uint8_t>(value * 255 / ((1U << t.bits) - 1));
  return t.photometric == kWhiteIsZero ? static_cast<uint8_t>(255 - stretched) : stretched;
}

void divide_by_alpha(uint8_t* pixel) {
  const int alpha = pixel[3];
  for (int c = 0; c < 3; ++c)
    pixel[c] = alpha == 0 ? uint8_t{0} : static_cast<uint8_t>(std::min(255, pixel[c] * 255 / alpha));
}

}  // namespace

Decoded decode_tiff(std::string_view bytes, std::string_view where) {
  TiffPicture tiff = read_tiff(bytes, where, [&](int64_t width, int64_t height) { check_size(width, height, where); });
  const auto meaning = meaning_of(tiff);
  if (!meaning)
    throw data_error(fmt::format("{}: a TIFF of {} samples of {} bits{} (photometric interpretation {}) cannot be read",
                                 where, tiff.samples, tiff.bits,
                                 tiff.sample_format == 3   ? ", floating point,"
                                 : tiff.sample_format == 2 ? ", signed,"
                                                           : "",
                                 tiff.photometric),
                     "Convert it to 8 bits a sample, or to 16 bits of grey.");
  DecodedImage image{tiff.width, tiff.height, meaning->mode, {}, std::move(tiff.palette), {}};
  const int64_t channels = mode_channels(image.mode), pixel_bytes = mode_bytes(image.mode);
  const int64_t row_bytes = (tiff.width * tiff.samples * tiff.bits + 7) / 8;
  image.pixels.resize(static_cast<size_t>(tiff.width * tiff.height * pixel_bytes));
  uint8_t* to = image.pixels.data();
  for (int64_t y = 0; y < tiff.height; ++y) {
    const uint8_t* row = tiff.rows.data() + y * row_bytes;
    for (int64_t x = 0; x < tiff.width; ++x, to += pixel_bytes) {
      if (image.mode == "I;16") {
        const auto value = static_cast<uint16_t>(sample(row, x, tiff.bits));
        std::memcpy(to, &value, 2);
        continue;
      }
      for (int64_t c = 0; c < channels; ++c) to[c] = as_byte(sample(row, x * tiff.samples + c, tiff.bits), tiff);
      if (meaning->premultiplied) divide_by_alpha(to);
    }
  }
  return {turned_upright(std::move(image), tiff.orientation), 1};  // Pillow turns a TIFF whenever it opens one
}

}  // namespace unnoise::image_decode
