// Files of pictures (PNG, JPEG, WebP, BMP, GIF, TIFF) to pixels, in the modes of Python's Pillow: what a training set
// looks like to diffusers' scripts is what it looks like here. Colour profiles are left alone, as they are there.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "unnoise/core/files.h"
#include "unnoise/io/image.h"
#include "unnoise/io/image_convert.h"

namespace unnoise {

/// Pictures with more pixels than this are refused before memory is set aside (a decompression bomb): Pillow's limit.
inline constexpr int64_t kMaxImagePixels = 178'956'970;

/// What to do with the camera's orientation tag (EXIF) of a JPEG, PNG or WebP. TIFF always comes upright, as from
/// Pillow.
enum class Orientation {
  upright,    ///< turn the pixels, as the datasets library does before train_unconditional.py sees them, and diffusers'
              ///< load_image
  as_stored,  ///< leave them, as Pillow's Image.open does
};

enum class PictureFormat { png, jpeg, webp, bmp, gif, tiff };
/// "PNG", "JPEG", "WebP" ...
std::string_view format_name(PictureFormat format);
/// Those that decode_image knows, in a sentence: "PNG, JPEG, WebP, BMP, GIF or TIFF".
inline constexpr std::string_view kPictureFormats = "PNG, JPEG, WebP, BMP, GIF or TIFF";
/// By the first bytes; nothing for what is none of these.
std::optional<PictureFormat> picture_format(std::string_view bytes);

/// The picture in `bytes`, of the format that its first bytes say, whatever the name says. Of an animation, the first
/// frame; of several pages, the first. Throws Error::data that names `where` when the format is unknown, or the data
/// are damaged, cut short or too large.
DecodedImage decode_image(std::string_view bytes, std::string_view where,
                          Orientation orientation = Orientation::upright);

/// decode_image of a file.
DecodedImage read_image(const fs::path& path, Orientation orientation = Orientation::upright);

inline constexpr std::array<std::string_view, 11> kImageEndings = {".png", ".jpg",  ".jpeg", ".webp", ".bmp", ".gif",
                                                                   ".tif", ".tiff", ".jfif", ".jpe",  ".apng"};
/// Whether the name ends in one of them, in any case.
bool is_image_name(const fs::path& path);

}  // namespace unnoise
