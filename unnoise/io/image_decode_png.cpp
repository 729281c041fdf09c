// PNG by libpng, into the modes that Pillow opens it in.
#include <png.h>

#include <bit>
#include <csetjmp>
#include <cstring>
#include <string>
#include <vector>

#include "unnoise/io/image_decode.h"

namespace unnoise::image_decode {
namespace {

/// libpng's two structs and its way out. An error jumps back into attempt(), over C frames and over steps that hold
/// nothing with a destructor; exceptions are thrown from outside only.
class PngReader {
 public:
  explicit PngReader(std::string_view bytes) : rest_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {});
    if (png_) info_ = png_create_info_struct(png_);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  /// Runs `step(png, info)`; false when libpng gave up, and message() says why.
  template <class Step>
  bool attempt(const Step& step) {
    if (!png_ || !info_) return false;
    if (setjmp(jump_)) return false;
    step(png_, info_);
    return true;
  }
  const char* message() const { return message_; }
  static void read(png_structp png, png_bytep to, size_t size) {
    auto& self = *static_cast<PngReader*>(png_get_io_ptr(png));
    if (self.rest_.size() < size) png_error(png, "the file ends too early");
    std::memcpy(to, self.rest_.data(), size);
    self.rest_.remove_prefix(size);
  }

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto& self = *static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(self.message_, message, sizeof(self.message_) - 1);
    std::longjmp(self.jump_, 1);
  }

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::string_view rest_;
  std::jmp_buf jump_;
  char message_[128] = "not enough memory";
};

struct Header {
  png_uint_32 width = 0, height = 0;
  int bit_depth = 0, colour_type = 0;
};

/// Pillow's mode; 16-bit grey + alpha becomes RGBA there.
std::string mode_of(const Header& h) {
  switch (h.colour_type) {
    case PNG_COLOR_TYPE_GRAY:
      return h.bit_depth == 1 ? "1" : h.bit_depth == 16 ? "I;16" : "L";
    case PNG_COLOR_TYPE_GRAY_ALPHA:
      return h.bit_depth == 16 ? "RGBA" : "LA";
    case PNG_COLOR_TYPE_PALETTE:
      return "P";
    case PNG_COLOR_TYPE_RGB:
      return "RGB";
    default:
      return "RGBA";
  }
}

/// Asks libpng for bytes (16 bits for "I;16"), and for the high byte of other 16-bit samples.
void set_transforms(png_structp png, const Header& h) {
  const bool grey = h.colour_type == PNG_COLOR_TYPE_GRAY, grey_alpha = h.colour_type == PNG_COLOR_TYPE_GRAY_ALPHA;
  if (grey && h.bit_depth < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (h.colour_type == PNG_COLOR_TYPE_PALETTE) png_set_packing(png);
  if (h.bit_depth == 16 && !grey) png_set_strip_16(png);
  if (h.bit_depth == 16 && grey && std::endian::native == std::endian::little) png_set_swap(png);
  if (h.bit_depth == 16 && grey_alpha) png_set_gray_to_rgb(png);
}

void copy_palette(png_structp png, png_infop info, DecodedImage& image) {
  png_colorp entries = nullptr;
  int count = 0;
  if (png_get_PLTE(png, info, &entries, &count))
    for (int i = 0; i < count; ++i)
      image.palette.insert(image.palette.end(), {entries[i].red, entries[i].green, entries[i].blue});
  png_bytep alpha = nullptr;
  if (png_get_tRNS(png, info, &alpha, &count, nullptr) && alpha) image.palette_alpha.assign(alpha, alpha + count);
}

}  // namespace

Decoded decode_png(std::string_view bytes, std::string_view where) {
  PngReader reader(bytes);
  Header h;
  std::string_view exif;
  png_structp png = nullptr;
  png_infop info = nullptr;
  const bool has_header = reader.attempt([&](png_structp p, png_infop i) {
    png = p;
    info = i;
    png_set_read_fn(p, &reader, PngReader::read);
    png_set_user_limits(p, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // the product is checked below
    png_read_info(p, i);
    png_get_IHDR(p, i, &h.width, &h.height, &h.bit_depth, &h.colour_type, nullptr, nullptr, nullptr);
    png_bytep block = nullptr;
    png_uint_32 size = 0;
    if (png_get_eXIf_1(p, i, &size, &block)) exif = {reinterpret_cast<const char*>(block), size};
  });
  if (!has_header) fail_damaged(where, "PNG", reader.message());
  check_size(h.width, h.height, where);

  Decoded out{{h.width, h.height, mode_of(h), {}, {}, {}}, exif_orientation(exif)};
  if (out.image.mode == "P") copy_palette(png, info, out.image);
  const size_t row_bytes = h.width * static_cast<size_t>(mode_bytes(out.image.mode));
  out.image.pixels.resize(row_bytes * h.height);
  std::vector<png_bytep> rows(h.height);
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = out.image.pixels.data() + y * row_bytes;
  const bool has_pixels = reader.attempt([&](png_structp p, png_infop i) {
    set_transforms(p, h);
    png_set_interlace_handling(p);
    png_read_update_info(p, i);
    if (png_get_rowbytes(p, i) != row_bytes) png_error(p, "unexpected row size");
    png_read_image(p, rows.data());
  });
  if (!has_pixels) fail_damaged(where, "PNG", reader.message());
  return out;
}

}  // namespace unnoise::image_decode
