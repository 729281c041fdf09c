#include "unnoise/io/image_convert.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

/// ITU-R BT.601 luma in 16-bit fixed point.
uint8_t luma(int r, int g, int b) { return static_cast<uint8_t>((19595 * r + 38470 * g + 7471 * b + 32768) >> 16); }

/// a * b / 255, rounded.
int multiplied(int a, int b) {
  const int t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

/// Calls put(i, r, g, b) for every pixel.
template <class Put>
void for_each_rgb(const DecodedImage& image, const Put& put) {
  const size_t count = static_cast<size_t>(image.width * image.height);
  const uint8_t* in = image.pixels.data();
  if (image.mode == "RGB" || image.mode == "RGBA") {
    const size_t step = image.mode.size();
    for (size_t i = 0; i < count; ++i, in += step) put(i, in[0], in[1], in[2]);
  } else if (image.mode == "CMYK") {
    for (size_t i = 0; i < count; ++i, in += 4) {
      const int white = 255 - in[3];
      put(i, white - multiplied(in[0], white), white - multiplied(in[1], white), white - multiplied(in[2], white));
    }
  } else if (image.mode == "P") {
    std::vector<uint8_t> palette = image.palette;
    palette.resize(3 * 256);  // entries that the file does not have are black
    for (size_t i = 0; i < count; ++i) put(i, palette[3 * in[i]], palette[3 * in[i] + 1], palette[3 * in[i] + 2]);
  }
}

/// The grey channel of a mode without colour: byte i of `pixel` for pixel i.
template <class Put>
void for_each_grey(const DecodedImage& image, const Put& put) {
  const size_t count = static_cast<size_t>(image.width * image.height);
  const uint8_t* in = image.pixels.data();
  if (image.mode == "I;16") {
    for (size_t i = 0; i < count; ++i) {
      uint16_t value;
      std::memcpy(&value, in + 2 * i, 2);
      put(i, static_cast<uint8_t>(std::min<uint16_t>(value, 255)));
    }
  } else {
    const size_t step = static_cast<size_t>(mode_channels(image.mode));
    for (size_t i = 0; i < count; ++i) put(i, in[step * i]);
  }
}

bool has_colour(const DecodedImage& image) {
  return image.mode == "P" || image.mode == "RGB" || image.mode == "RGBA" || image.mode == "CMYK";
}

void check_decoded(const DecodedImage& image) {
  if (image.width < 1 || image.height < 1 ||
      static_cast<int64_t>(image.pixels.size()) != image.width * image.height * mode_bytes(image.mode))
    throw usage_error(fmt::format("a {}x{} picture of mode {} cannot have {} bytes", image.width, image.height,
                                  image.mode, image.pixels.size()));
}

/// [C,H,W] float32: interleaved samples to planes, divided by the largest value of a sample.
template <class Sample>
Tensor planes(const Sample* samples, const Shape& shape, float largest) {
  Tensor out = at::empty(shape, at::kFloat);
  float* to = out.mutable_data_ptr<float>();
  const int64_t channels = shape[0], count = shape[1] * shape[2];
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < count; ++i) *to++ = static_cast<float>(samples[i * channels + c]) / largest;
  return out;
}

/// [C,H,W] in [0,1] of the file's own channels.
Tensor own_channels(const DecodedImage& image) {
  const Shape shape = {mode_channels(image.mode), image.height, image.width};
  if (image.mode != "I;16") return planes(image.pixels.data(), shape, 255.0F);
  std::vector<uint16_t> samples(image.pixels.size() / 2);
  std::memcpy(samples.data(), image.pixels.data(), image.pixels.size());
  return planes(samples.data(), shape, 65535.0F);
}

Tensor three_channels(const Tensor& x) {
  const int64_t channels = x.size(0);
  if (channels == 1) return x.repeat({3, 1, 1});
  if (channels == 2) return at::cat({x, x.slice(0, 0, 1)});
  return x.slice(0, 0, 3).contiguous();
}

}  // namespace

Image convert(const DecodedImage& image, ImageMode mode) {
  check_decoded(image);
  Image out = blank_image(image.width, image.height, image_channels(mode));
  uint8_t* to = out.pixels.data();
  if (has_colour(image) && mode == ImageMode::rgb) {
    for_each_rgb(image, [to](size_t i, int r, int g, int b) {
      to[3 * i] = static_cast<uint8_t>(r);
      to[3 * i + 1] = static_cast<uint8_t>(g);
      to[3 * i + 2] = static_cast<uint8_t>(b);
    });
  } else if (has_colour(image)) {
    for_each_rgb(image, [to](size_t i, int r, int g, int b) { to[i] = luma(r, g, b); });
  } else if (mode == ImageMode::rgb) {
    for_each_grey(image, [to](size_t i, uint8_t grey) { to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = grey; });
  } else {
    for_each_grey(image, [to](size_t i, uint8_t grey) { to[i] = grey; });
  }
  return out;
}

Image convert(DecodedImage&& image, ImageMode mode) {
  if (image.mode != (mode == ImageMode::rgb ? "RGB" : "L")) return convert(std::as_const(image), mode);
  check_decoded(image);
  return {image.width, image.height, image_channels(mode), std::move(image.pixels)};
}

Tensor preserving_tensor(const DecodedImage& image, ImageMode mode) {
  check_decoded(image);
  const bool through_rgb = image.mode == "P" || (image.mode == "CMYK" && mode == ImageMode::grey);
  const Tensor x = own_channels(through_rgb ? decoded_image(convert(image, ImageMode::rgb)) : image);
  if (mode == ImageMode::rgb) return three_channels(x);
  if (x.size(0) < 3) return x.slice(0, 0, 1).contiguous();
  return x[0].mul(0.299).add(x[1], 0.587).add(x[2], 0.114).unsqueeze(0);
}

}  // namespace unnoise
