#include "unnoise/data/transforms.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

/// Steele, Lea and Flood 2014, the finaliser of SplittableRandom.
constexpr uint64_t splitmix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  x = (x ^ x >> 27) * 0x94D049BB133111EB;
  return x ^ x >> 31;
}

/// ToTensor and Normalize of an 8-bit value, in float32 like torchvision.
constexpr std::array<float, 256> make_levels() {
  std::array<float, 256> levels{};
  for (int i = 0; i < 256; ++i) levels[i] = (static_cast<float>(i) / 255.0f - 0.5f) / 0.5f;
  return levels;
}
constexpr auto kLevels = make_levels();

int64_t center_offset(int64_t side, int64_t resolution) {
  return std::lrint(static_cast<double>(side - resolution) / 2.0);
}

/// out[y, x] = value(y, x or mirrored x) over a square.
template <class Value>
void copy_square(int64_t resolution, bool flip, float* out, Value value) {
  for (int64_t y = 0; y < resolution; ++y, out += resolution) {
    if (flip)
      for (int64_t x = 0; x < resolution; ++x) out[x] = value(y, resolution - 1 - x);
    else
      for (int64_t x = 0; x < resolution; ++x) out[x] = value(y, x);
  }
}

}  // namespace

int64_t ResizedPicture::width() const { return values.defined() ? values.size(2) : image.width; }
int64_t ResizedPicture::height() const { return values.defined() ? values.size(1) : image.height; }
int64_t ResizedPicture::bytes() const {
  return values.defined() ? values.numel() * 4 : static_cast<int64_t>(image.pixels.size());
}

ResizedPicture resize_for_training(DecodedImage image, const TransformOptions& options) {
  const auto size = resized_shorter_side({image.width, image.height}, options.resolution);
  const bool fits = size == ImageSize{image.width, image.height};
  if (options.preserve_input_precision) {
    const Tensor values = preserving_tensor(image, options.mode);
    return {{}, (fits ? values : resize_bilinear(values, size.width, size.height)).contiguous()};
  }
  // A channel is filtered alone, so that three equal ones need filtering once.
  const bool grey_in_rgb = image.mode == "L" && options.mode == ImageMode::rgb;
  Image converted = convert(std::move(image), grey_in_rgb ? ImageMode::grey : options.mode);
  Image resized = fits ? std::move(converted) : resize_bilinear(converted, size.width, size.height);
  if (grey_in_rgb) resized = convert(decoded_image(std::move(resized)), ImageMode::rgb);
  return {std::move(resized), {}};
}

View choose_view(const ResizedPicture& picture, const TransformOptions& options, uint64_t key) {
  const int64_t spare_rows = picture.height() - options.resolution,
                spare_columns = picture.width() - options.resolution;
  if (spare_rows < 0 || spare_columns < 0)
    throw usage_error(fmt::format("a crop of {0}x{0} from a picture of {1}x{2}", options.resolution, picture.width(),
                                  picture.height()));
  View view;
  if (options.center_crop) {
    view.top = center_offset(picture.height(), options.resolution);
    view.left = center_offset(picture.width(), options.resolution);
  } else {
    view.top = static_cast<int64_t>(mix(key, 1) % static_cast<uint64_t>(spare_rows + 1));
    view.left = static_cast<int64_t>(mix(key, 2) % static_cast<uint64_t>(spare_columns + 1));
  }
  view.flip = options.random_flip && (mix(key, 3) >> 63) != 0;
  return view;
}

void write_view(const ResizedPicture& picture, const View& view, int64_t resolution, float* out) {
  const int64_t width = picture.width();
  if (picture.values.defined()) {
    for (int64_t c = 0; c < picture.values.size(0); ++c, out += resolution * resolution) {
      const float* plane = picture.values.const_data_ptr<float>() + c * picture.height() * width;
      const float* corner = plane + view.top * width + view.left;
      copy_square(resolution, view.flip, out,
                  [&](int64_t y, int64_t x) { return (corner[y * width + x] - 0.5f) / 0.5f; });
    }
    return;
  }
  const int64_t channels = picture.image.channels;
  for (int64_t c = 0; c < channels; ++c, out += resolution * resolution) {
    const uint8_t* corner = picture.image.row(view.top) + view.left * channels + c;
    copy_square(resolution, view.flip, out,
                [&](int64_t y, int64_t x) { return kLevels[corner[(y * width + x) * channels]]; });
  }
}

uint64_t mix(uint64_t a, uint64_t b, uint64_t c) { return splitmix64(splitmix64(splitmix64(a) + b) + c); }

}  // namespace unnoise
