// JPEG by libjpeg-turbo with its default settings (accurate integer DCT, smooth chroma upsampling), which are Pillow's.
#include <fmt/format.h>
#include <jpeglib.h>
#include <csetjmp>
#include <cstddef>
#include <cstdio>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "unnoise/io/image_decode.h"

namespace unnoise::image_decode {
namespace {

/// libjpeg's struct and its way out. An error jumps back into attempt(), over C frames and over steps that hold nothing
/// with a destructor; exceptions are thrown from outside only.
class JpegReader {
 public:
  explicit JpegReader(std::string_view bytes) {
    jpeg_.err = jpeg_std_error(&errors_);
    errors_.error_exit = on_error;
    errors_.emit_message = [](j_common_ptr, int) {};  // what libjpeg can repair, Pillow accepts too
    jpeg_.client_data = this;
    created_ = attempt([](j_decompress_ptr jpeg) { jpeg_create_decompress(jpeg); });
    source_.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    source_.bytes_in_buffer = bytes.size();
    source_.init_source = [](j_decompress_ptr) {};
    source_.fill_input_buffer = on_end_of_data;
    source_.skip_input_data = skip;
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.term_source = [](j_decompress_ptr) {};
    progress_.progress_monitor = on_progress;
    jpeg_.src = &source_;
    jpeg_.progress = &progress_;
  }
  ~JpegReader() {
    if (created_) jpeg_destroy_decompress(&jpeg_);
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  /// Runs `step(jpeg)`; false when libjpeg gave up, and message() says why.
  template <class Step>
  bool attempt(const Step& step) {
    if (setjmp(jump_)) return false;
    step(&jpeg_);
    return true;
  }
  const char* message() const { return message_; }
  const jpeg_decompress_struct& jpeg() const { return jpeg_; }

 private:
  static JpegReader& self(j_common_ptr jpeg) { return *static_cast<JpegReader*>(jpeg->client_data); }

  [[noreturn]] static void fail(j_common_ptr jpeg, const char* message) {
    JpegReader& reader = self(jpeg);
    std::snprintf(reader.message_, sizeof(reader.message_), "%s", message);
    std::longjmp(reader.jump_, 1);
  }
  [[noreturn]] static void on_error(j_common_ptr jpeg) {
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    fail(jpeg, text);
  }
  static boolean on_end_of_data(j_decompress_ptr jpeg) {
    fail(reinterpret_cast<j_common_ptr>(jpeg), "the file ends too early");
  }
  static void skip(j_decompress_ptr jpeg, long count) {
    if (count <= 0) return;
    if (static_cast<size_t>(count) > jpeg->src->bytes_in_buffer) on_end_of_data(jpeg);
    jpeg->src->next_input_byte += count;
    jpeg->src->bytes_in_buffer -= static_cast<size_t>(count);
  }
  /// A small progressive file can hold thousands of scans of a large picture, each as long in the decoding as all of
  /// it.
  static void on_progress(j_common_ptr jpeg) {
    constexpr int kMaxScans = 500;
    if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number > kMaxScans) fail(jpeg, "more than 500 scans");
  }

  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_;
  char message_[JMSG_LENGTH_MAX] = "not enough memory";
  bool created_ = false;
};

/// What a number of colour components is decoded into.
struct Format {
  int channels;
  const char* mode;
  J_COLOR_SPACE colours;
};

const Format* format_of(int channels) {
  static constexpr std::array<Format, 3> kFormats = {
      {{1, "L", JCS_GRAYSCALE}, {3, "RGB", JCS_RGB}, {4, "CMYK", JCS_CMYK}}};
  const auto found = std::ranges::find(kFormats, channels, &Format::channels);
  return found == kFormats.end() ? nullptr : &*found;
}

int orientation_of(const jpeg_decompress_struct& jpeg) {
  for (auto marker = jpeg.marker_list; marker; marker = marker->next) {
    const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (data.starts_with(std::string_view("Exif\0\0", 6))) return exif_orientation(data);
  }
  return 1;
}

}  // namespace

Decoded decode_jpeg(std::string_view bytes, std::string_view where) {
  JpegReader reader(bytes);
  const bool has_header = reader.attempt([](j_decompress_ptr jpeg) {
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(jpeg, TRUE);
  });
  if (!has_header) fail_damaged(where, "JPEG", reader.message());
  const auto& jpeg = reader.jpeg();
  check_size(jpeg.image_width, jpeg.image_height, where);
  const Format* format = format_of(jpeg.num_components);
  if (!format)
    fail_damaged(where, "JPEG", fmt::format("{} colour components; expected 1, 3 or 4", jpeg.num_components));
  Decoded out{{jpeg.image_width, jpeg.image_height, format->mode, {}, {}, {}}, orientation_of(jpeg)};
  const size_t row_bytes = static_cast<size_t>(jpeg.image_width) * static_cast<size_t>(jpeg.num_components);
  out.image.pixels.resize(row_bytes * jpeg.image_height);
  uint8_t* pixels = out.image.pixels.data();
  const bool has_pixels = reader.attempt([&](j_decompress_ptr j) {
    j->out_color_space = format->colours;
    jpeg_start_decompress(j);
    while (j->output_scanline < j->output_height) {
      JSAMPROW row = pixels + j->output_scanline * row_bytes;
      jpeg_read_scanlines(j, &row, 1);
    }
    jpeg_finish_decompress(j);
  });
  if (!has_pixels) fail_damaged(where, "JPEG", reader.message());
  if (format->colours == JCS_CMYK)  // Adobe's convention, which Pillow assumes for every file: 0 is full ink
    for (auto& sample : out.image.pixels) sample = static_cast<uint8_t>(255 - sample);
  return out;
}

}  // namespace unnoise::image_decode
