// PNG, JPEG and WebP files to pixels, in the modes of Python's Pillow: what a training set looks like to diffusers'
// scripts is what it looks like here. Colour profiles are left alone, as they are there.
#pragma once

#include <cstdint>
#include <string_view>

#include "unnoise/core/files.h"
#include "unnoise/io/image.h"
#include "unnoise/io/image_convert.h"

namespace unnoise {

/// Pictures with more pixels than this are refused before memory is set aside (a decompression bomb): Pillow's limit.
inline constexpr int64_t kMaxImagePixels = 178'956'970;

/// What to do with the camera's orientation tag (EXIF) of a JPEG, PNG or WebP.
enum class Orientation {
  upright,    ///< turn the pixels, as the datasets library does before train_unconditional.py sees them, and diffusers'
              ///< load_image
  as_stored,  ///< leave them, as Pillow's Image.open does
};

/// The picture in `bytes`; PNG, JPEG or WebP by its first bytes, whatever the name says. Of an animation, the first
/// frame. Throws Error::data that names `where` when the format is unknown, or the data are damaged, cut short or too
/// large.
DecodedImage decode_image(std::string_view bytes, std::string_view where,
                          Orientation orientation = Orientation::upright);

/// decode_image of a file.
DecodedImage read_image(const fs::path& path, Orientation orientation = Orientation::upright);

/// Whether the name ends in .png, .jpg, .jpeg or .webp, in any case.
bool is_image_name(const fs::path& path);

}  // namespace unnoise
