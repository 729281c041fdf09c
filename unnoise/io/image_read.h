// PNG, JPEG and WebP files to pixels, in the modes and with the conversions of Python's Pillow: what a training set looks like
// to diffusers' scripts is what it looks like here. EXIF orientation and colour profiles are left alone, as they are there.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/io/image.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// A picture as its file stores it, before any conversion.
struct DecodedImage {
  int64_t width = 0;
  int64_t height = 0;
  /// Pillow's name of the format: "1", "L", "LA", "P", "RGB", "RGBA", "CMYK" (8 bits a sample; "1" holds 0 and 255; CMYK as
  /// Pillow gives it: 255 = full ink) or "I;16" (16 bits, grey).
  std::string mode;
  /// Interleaved rows, top to bottom; "I;16" has two bytes a sample, in the machine's order.
  std::vector<uint8_t> pixels;
  std::vector<uint8_t> palette;        ///< "P": RGB triples, at most 256
  std::vector<uint8_t> palette_alpha;  ///< "P" with transparency: one alpha an entry, the rest opaque
  /// A colour that the file declares transparent: one value for grey, three for RGB, 16 bits each; may be empty.
  /// Kept for completeness; the conversions below do not use it, nor do Pillow's.
  std::vector<uint16_t> transparent_colour;

  bool operator==(const DecodedImage&) const = default;
};

/// Samples a pixel of a mode named above: "L" 1, "LA" 2, "RGB" 3, "RGBA" and "CMYK" 4; Error::usage for another name.
int64_t mode_channels(std::string_view mode);

/// 8-bit pixels that did not come from a file ("L", "LA", "RGB", "RGBA" by the number of channels).
DecodedImage decoded_image(Image image);

/// Pictures with more pixels than this are refused before memory is set aside (a decompression bomb): Pillow's limit.
inline constexpr int64_t kMaxImagePixels = 178'956'970;

/// The picture in `bytes`; PNG, JPEG or WebP by its first bytes, whatever the name says. Of an animation, the first frame.
/// Throws Error::data that names `where` when the format is unknown, or the data are damaged, cut short or too large.
DecodedImage decode_image(std::string_view bytes, std::string_view where);

/// decode_image of a file.
DecodedImage read_image(const fs::path& path);

/// Whether the name ends in .png, .jpg, .jpeg or .webp, in any case.
bool is_image_name(const fs::path& path);

/// How many channels a network sees.
enum class ImageMode { grey, rgb };
constexpr auto enum_names(ImageMode) {
  return std::array{std::pair{ImageMode::grey, "grey"}, std::pair{ImageMode::rgb, "rgb"}};
}
constexpr int64_t image_channels(ImageMode mode) { return mode == ImageMode::grey ? 1 : 3; }

/// Pillow's Image.convert("L") (1 channel) or convert("RGB") (3 channels), to the bit: alpha is dropped, not blended; palettes
/// are looked up; 16-bit grey keeps its high byte; grey = (19595 R + 38470 G + 7471 B + 32768) >> 16, ITU-R 601-2.
Image convert(const DecodedImage& image, ImageMode mode);

/// [C,H,W] float32 in [0,1] without the loss of 16-bit precision: --preserve_input_precision of diffusers'
/// train_unconditional.py. Palette -> RGB; 16-bit grey / 65535, everything else / 255. Then for rgb: one channel is repeated
/// three times, of two the first is appended, of more than three the first three stay. For grey (which the script does not
/// have): one channel stays as it is, two drop the second, more are weighted .299, .587, .114.
Tensor preserving_tensor(const DecodedImage& image, ImageMode mode);

}  // namespace unnoise
