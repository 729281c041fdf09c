// The decoders behind image_read.h, one source file each, and what they share.
#pragma once

#include <cstdint>
#include <string_view>

#include "unnoise/io/image.h"

namespace unnoise::image_decode {

/// A picture and its EXIF orientation, 1 (upright) to 8.
struct Decoded {
  DecodedImage image;
  int orientation = 1;
};

Decoded decode_png(std::string_view bytes, std::string_view where);
Decoded decode_jpeg(std::string_view bytes, std::string_view where);
Decoded decode_webp(std::string_view bytes, std::string_view where);
Decoded decode_bmp(std::string_view bytes, std::string_view where);
Decoded decode_gif(std::string_view bytes, std::string_view where);
Decoded decode_tiff(std::string_view bytes, std::string_view where);

/// Throws Error::data for a picture without pixels or with more than kMaxImagePixels. Called before anything of that
/// size is allocated.
void check_size(int64_t width, int64_t height, std::string_view where);

/// Error::data: "where: the PNG is damaged: why".
[[noreturn]] void fail_damaged(std::string_view where, std::string_view format, std::string_view why);

/// The orientation tag of an EXIF block (a TIFF header with its first directory, "Exif\0\0" before it or not); 1 when
/// there is none or the block is malformed. Reads nothing outside `exif`.
int exif_orientation(std::string_view exif);

/// The pixels turned and mirrored so that orientation `orientation` comes out upright.
DecodedImage turned_upright(DecodedImage image, int orientation);

}  // namespace unnoise::image_decode
