// libunnoise_tiff.so: TIFF by libtiff.
#include <fmt/format.h>
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "unnoise/containers/module.h"
#include "unnoise/containers/tiff.h"
#include "unnoise/core/error.h"
#include "unnoise/core/version.h"

namespace unnoise {
namespace {

struct Close {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using Reader = std::unique_ptr<TIFF, Close>;

/// A file in memory, and the first thing that libtiff said about it.
struct Source {
  std::string_view bytes;
  std::string_view where;
  size_t at = 0;
  std::string said;

  [[noreturn]] void fail(std::string_view otherwise) const {
    throw data_error(fmt::format("{}: the TIFF is damaged or cut short: {}", where,
                                 said.empty() ? otherwise : std::string_view(said)),
                     "Copy or download the file again, or remove it from the folder.");
  }
  [[noreturn]] void refuse(std::string_view what) const {
    throw data_error(fmt::format("{}: a TIFF of {} cannot be read", where, what),
                     "Convert it to 8 bits a sample, or to 16 bits of grey.");
  }
};

Source& source_of(thandle_t handle) { return *static_cast<Source*>(handle); }

tmsize_t read_some(thandle_t handle, void* to, tmsize_t size) {
  Source& source = source_of(handle);
  const size_t left = source.bytes.size() - std::min(source.at, source.bytes.size());
  const size_t count = std::min(left, static_cast<size_t>(std::max<tmsize_t>(size, 0)));
  if (count > 0) std::memcpy(to, source.bytes.data() + source.at, count);
  source.at += count;
  return static_cast<tmsize_t>(count);
}

tmsize_t write_none(thandle_t, void*, tmsize_t) { return 0; }

toff_t seek_to(thandle_t handle, toff_t offset, int from) {
  Source& source = source_of(handle);
  if (from == SEEK_CUR) offset += source.at;
  if (from == SEEK_END) offset += source.bytes.size();
  source.at = static_cast<size_t>(std::min<toff_t>(offset, source.bytes.size()));
  return offset;
}

int on_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  Source& source = *static_cast<Source*>(user);
  if (!source.said.empty()) return 1;
  char text[200];
  std::vsnprintf(text, sizeof(text), format, arguments);
  source.said = text;
  return 1;
}

/// Of the warnings, those of tags that lie outside of the file count: libtiff would go on without a palette.
int on_warning(TIFF* tiff, void* user, const char* module, const char* format, va_list arguments) {
  return std::string_view(format).starts_with("IO error") ? on_error(tiff, user, module, format, arguments) : 1;
}

Reader open(Source& source) {
  // No single block that libtiff sets aside for itself is larger than this: a strip of the largest picture.
  constexpr tmsize_t kMost = tmsize_t{1} << 30;
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 TIFFOpenOptionsFree);
  if (!options) throw environment_error("libtiff does not start");
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMost);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &source);
  // "m": reading through the function above, not by mapping
  Reader reader(TIFFClientOpenExt(
      "TIFF", "rm", &source, read_some, write_none, seek_to, [](thandle_t) { return 0; },
      [](thandle_t handle) -> toff_t { return source_of(handle).bytes.size(); }, nullptr, nullptr, options.get()));
  if (!reader || !source.said.empty()) source.fail("its directory cannot be read");
  return reader;
}

int number(TIFF* tiff, uint32_t tag, int otherwise) {
  uint16_t value = 0;
  return TIFFGetFieldDefaulted(tiff, tag, &value) ? value : otherwise;
}

TiffPicture header_of(TIFF* tiff, const Source& source, const std::function<void(int64_t, int64_t)>& check_size) {
  uint32_t width = 0, height = 0;
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height))
    source.fail("it does not say its size");
  check_size(width, height);
  TiffPicture out{.width = width, .height = height};
  out.orientation = std::clamp(number(tiff, TIFFTAG_ORIENTATION, 1), 1, 8);
  out.photometric = number(tiff, TIFFTAG_PHOTOMETRIC, 0);
  out.bits = number(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  out.sample_format = number(tiff, TIFFTAG_SAMPLEFORMAT, 1);
  out.samples = number(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  uint16_t count = 0;
  uint16_t* kinds = nullptr;
  if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds)) out.extra.assign(kinds, kinds + count);
  constexpr int kKnownBits[] = {1, 2, 4, 8, 12, 16};
  if (std::find(std::begin(kKnownBits), std::end(kKnownBits), out.bits) == std::end(kKnownBits) || out.samples < 1 ||
      out.samples > 6)
    source.refuse(fmt::format("{} samples of {} bits a pixel", out.samples, out.bits));
  if (out.photometric == PHOTOMETRIC_PALETTE) {
    uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
    if (out.bits > 8 || !TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue)) source.fail("it has no palette");
    for (int i = 0; i < 1 << out.bits; ++i)
      for (const uint16_t* channel : {red, green, blue}) out.palette.push_back(static_cast<uint8_t>(channel[i] >> 8));
  }
  return out;
}

/// Where the pieces of a picture (strips or tiles) go: pieces of `width` x `height` pixels, in `planes` planes.
struct Pieces {
  bool tiled = false;
  int64_t width = 0, height = 0;
  int planes = 1;
};

Pieces pieces_of(TIFF* tiff, const TiffPicture& picture, const Source& source) {
  Pieces out{.tiled = TIFFIsTiled(tiff) != 0};
  uint32_t width = static_cast<uint32_t>(picture.width), height = 0;
  if (out.tiled) {
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &height);
  } else {
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &height);
    height = std::min(height, static_cast<uint32_t>(picture.height));
  }
  // A tile may be larger than a small picture, but not without bound.
  constexpr int64_t kTile = 4096;
  if (width < 1 || height < 1 || width > std::max(kTile, 2 * picture.width) ||
      height > std::max(kTile, 2 * picture.height))
    source.fail(
        fmt::format("pieces of {}x{} pixels in a picture of {}x{}", width, height, picture.width, picture.height));
  out.width = width;
  out.height = height;
  if (number(tiff, TIFFTAG_PLANARCONFIG, 1) == PLANARCONFIG_SEPARATE) out.planes = picture.samples;
  return out;
}

/// Copies one piece to its place. Samples of less than a byte are never in pieces beside each other at odd bits: tiles
/// are multiples of 16 pixels wide.
void place(TiffPicture& picture, const Pieces& pieces, const std::vector<uint8_t>& piece, int64_t x, int64_t y,
           int plane) {
  const int64_t in_piece = pieces.planes == 1 ? picture.samples : 1;
  const int64_t row_bytes = (picture.width * picture.samples * picture.bits + 7) / 8;
  const int64_t piece_row = (pieces.width * in_piece * picture.bits + 7) / 8;
  const int64_t columns = std::min(pieces.width, picture.width - x),
                lines = std::min(pieces.height, picture.height - y);
  for (int64_t line = 0; line < lines; ++line) {
    const uint8_t* from = piece.data() + line * piece_row;
    uint8_t* to = picture.rows.data() + (y + line) * row_bytes;
    if (pieces.planes == 1) {
      std::memcpy(to + x * in_piece * picture.bits / 8, from,
                  static_cast<size_t>((columns * in_piece * picture.bits + 7) / 8));
      continue;
    }
    const int64_t size = picture.bits / 8;
    for (int64_t column = 0; column < columns; ++column)
      std::memcpy(to + ((x + column) * picture.samples + plane) * size, from + column * size,
                  static_cast<size_t>(size));
  }
}

void read_pieces(TIFF* tiff, TiffPicture& picture, const Source& source) {
  const Pieces pieces = pieces_of(tiff, picture, source);
  const bool by_bytes = picture.bits % 8 == 0;
  if (pieces.planes > 1 && !by_bytes) source.refuse(fmt::format("planes of {} bits", picture.bits));
  if (pieces.tiled && !by_bytes && pieces.width % 16 != 0) source.refuse(fmt::format("tiles {} wide", pieces.width));
  const int64_t in_piece = pieces.planes == 1 ? picture.samples : 1;
  const int64_t expected = (pieces.width * in_piece * picture.bits + 7) / 8 * pieces.height;
  if ((pieces.tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff)) != expected)
    source.fail("its pieces have no clear size");
  picture.rows.resize(static_cast<size_t>((picture.width * picture.samples * picture.bits + 7) / 8 * picture.height));
  std::vector<uint8_t> piece(static_cast<size_t>(expected));
  for (int plane = 0; plane < pieces.planes; ++plane)
    for (int64_t y = 0; y < picture.height; y += pieces.height)
      for (int64_t x = 0; x < picture.width; x += pieces.width) {
        const auto px = static_cast<uint32_t>(x), py = static_cast<uint32_t>(y);
        const auto part = static_cast<uint16_t>(plane);
        const int64_t lines = pieces.tiled ? pieces.height : std::min(pieces.height, picture.height - y);
        const int64_t wanted = expected / pieces.height * lines;
        const tmsize_t got =
            pieces.tiled ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, px, py, 0, part), piece.data(), wanted)
                         : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, py, part), piece.data(), wanted);
        if (got != wanted || !source.said.empty()) source.fail("its pixels end too early");
        place(picture, pieces, piece, x, y, plane);
      }
}

/// YCbCr that is no JPEG: as libtiff converts it.
void read_as_rgb(TIFF* tiff, TiffPicture& picture, const Source& source) {
  const size_t count = static_cast<size_t>(picture.width * picture.height);
  std::vector<uint32_t> raster(count);
  // Asked for the orientation that it has, it turns nothing.
  if (!TIFFReadRGBAImageOriented(tiff, static_cast<uint32_t>(picture.width), static_cast<uint32_t>(picture.height),
                                 raster.data(), picture.orientation, 1) ||
      !source.said.empty())
    source.fail("its pixels cannot be decoded");
  for (const uint32_t pixel : raster)
    for (const uint32_t value : {TIFFGetR(pixel), TIFFGetG(pixel), TIFFGetB(pixel)})
      picture.rows.push_back(static_cast<uint8_t>(value));
}

TiffPicture read(std::string_view bytes, std::string_view where,
                 const std::function<void(int64_t, int64_t)>& check_size) {
  Source source{bytes, where};
  const Reader reader = open(source);
  TIFF* tiff = reader.get();
  TiffPicture picture = header_of(tiff, source, check_size);
  const int compression = number(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  if (!TIFFIsCODECConfigured(static_cast<uint16_t>(compression)))
    source.refuse(fmt::format("compression {}", compression));
  if (picture.photometric != PHOTOMETRIC_YCBCR) {
    read_pieces(tiff, picture, source);
    return picture;
  }
  if (picture.bits != 8 || picture.samples != 3) source.refuse("YCbCr that has not three samples of 8 bits");
  picture.photometric = PHOTOMETRIC_RGB;
  const bool in_one_plane = number(tiff, TIFFTAG_PLANARCONFIG, 1) == PLANARCONFIG_CONTIG;
  if (compression == COMPRESSION_JPEG && in_one_plane) {
    TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    read_pieces(tiff, picture, source);
  } else {
    read_as_rgb(tiff, picture, source);
  }
  return picture;
}

}  // namespace
}  // namespace unnoise

extern "C" __attribute__((visibility("default"))) const void* unnoise_container(const char* version) {
  static constexpr unnoise::TiffModule module{&unnoise::read};
  return std::strcmp(version, unnoise::kVersion) == 0 ? &module : nullptr;
}
