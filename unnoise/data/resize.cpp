#include "unnoise/data/resize.h"

#include <ATen/ops/_upsample_bilinear2d_aa.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr int kFractionBits = 22;  // 8 bits of pixel and 22 of coefficient leave room to sum and to round in 32
constexpr uint32_t kHalf = 1U << (kFractionBits - 1);

/// For each output sample, which inputs it averages and with which weights (their sum is 1 = 2^22).
class Filter {
 public:
  Filter(int64_t input, int64_t output) {
    const double scale = static_cast<double>(input) / static_cast<double>(output);
    const double support = std::max(scale, 1.0);  // of the triangle, in input samples; 1 when enlarging
    stride_ = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
    spans_.reserve(static_cast<size_t>(output));
    weights_.resize(static_cast<size_t>(output * stride_));
    std::vector<double> exact(static_cast<size_t>(stride_));
    for (int64_t i = 0; i < output; ++i) {
      const double centre = (static_cast<double>(i) + 0.5) * scale;
      const int64_t first = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);
      const int64_t count = std::min(static_cast<int64_t>(centre + support + 0.5), input) - first;
      double sum = 0;
      for (int64_t j = 0; j < count; ++j) {
        const double distance = std::abs((static_cast<double>(j + first) - centre + 0.5) * (1.0 / support));
        sum += exact[static_cast<size_t>(j)] = std::max(1.0 - distance, 0.0);
      }
      uint32_t* fixed = weights_.data() + i * stride_;
      for (int64_t j = 0; j < count; ++j)
        fixed[j] = static_cast<uint32_t>(exact[static_cast<size_t>(j)] * (1.0 / sum) * (1 << kFractionBits) + 0.5);
      spans_.push_back({first, count});
    }
  }

  struct Span {
    int64_t first, count;
  };
  int64_t size() const { return static_cast<int64_t>(spans_.size()); }
  Span span(int64_t i) const { return spans_[static_cast<size_t>(i)]; }
  const uint32_t* weights(int64_t i) const { return weights_.data() + i * stride_; }

 private:
  int64_t stride_ = 0;
  std::vector<Span> spans_;
  std::vector<uint32_t> weights_;
};

uint8_t rounded(uint32_t sum) { return static_cast<uint8_t>(std::min(sum >> kFractionBits, 255U)); }

/// Filters two rows at once: a sample of each sits in one half of a 64-bit word, so that one multiplication serves
/// both. A sum stays below 2^31 and never runs into its neighbour.
template <int channels>
void filter_two_rows(const uint64_t* pairs, const Filter& filter, uint8_t* upper, uint8_t* lower) {
  for (int64_t x = 0; x < filter.size(); ++x) {
    const auto [first, count] = filter.span(x);
    const uint64_t* in = pairs + first * channels;
    const uint32_t* weights = filter.weights(x);
    uint64_t sums[channels];
    std::fill_n(sums, channels, (uint64_t{kHalf} << 32) | kHalf);
    for (int64_t j = 0; j < count; ++j)
      for (int c = 0; c < channels; ++c) sums[c] += in[j * channels + c] * weights[j];
    for (int c = 0; c < channels; ++c) {
      *upper++ = rounded(static_cast<uint32_t>(sums[c]));
      *lower++ = rounded(static_cast<uint32_t>(sums[c] >> 32));
    }
  }
}

template <int channels>
Image filter_rows(const Image& image, const Filter& filter) {
  Image out = blank_image(filter.size(), image.height, image.channels);
  std::vector<uint64_t> pairs(static_cast<size_t>(image.width * channels));
  for (int64_t y = 0; y < image.height; y += 2) {
    const int64_t partner = std::min(y + 1, image.height - 1);  // the last row of an odd number is its own partner
    const uint8_t *upper = image.row(y), *lower = image.row(partner);
    for (size_t i = 0; i < pairs.size(); ++i) pairs[i] = upper[i] | (uint64_t{lower[i]} << 32);
    filter_two_rows<channels>(pairs.data(), filter, out.row(y), out.row(partner));
  }
  return out;
}

Image filter_rows(const Image& image, const Filter& filter) {
  switch (image.channels) {
    case 1:
      return filter_rows<1>(image, filter);
    case 2:
      return filter_rows<2>(image, filter);
    case 3:
      return filter_rows<3>(image, filter);
    default:
      return filter_rows<4>(image, filter);
  }
}

Image filter_columns(const Image& image, const Filter& filter) {
  Image out = blank_image(image.width, filter.size(), image.channels);
  const size_t row_size = static_cast<size_t>(image.width * image.channels);
  std::vector<uint32_t> sums(row_size);
  for (int64_t y = 0; y < filter.size(); ++y) {
    const auto [first, count] = filter.span(y);
    std::ranges::fill(sums, kHalf);
    for (int64_t j = 0; j < count; ++j) {
      const uint8_t* in = image.row(first + j);
      const uint32_t weight = filter.weights(y)[j];
      for (size_t i = 0; i < row_size; ++i) sums[i] += in[i] * weight;
    }
    std::ranges::transform(sums, out.row(y), rounded);
  }
  return out;
}

/// Pillow's choice, from release 13 on (before, the rows were always first). It matters as each pass rounds to 8 bits.
bool columns_first(const Image& image, int64_t width, int64_t height) {
  return height < image.height && image.height - height > 2 * (image.width - width);
}

void check_size(int64_t width, int64_t height) {
  constexpr int64_t kMaxSide = 65536;
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide)
    throw usage_error(
        fmt::format("cannot resize a picture to {}x{}; expected sides from 1 to {}", width, height, kMaxSide));
}

}  // namespace

Image resize_bilinear(const Image& image, int64_t width, int64_t height) {
  check_image(image, "resize_bilinear");
  check_size(width, height);
  if (width == image.width && height == image.height) return image;
  if (width == image.width) return filter_columns(image, Filter(image.height, height));
  const Filter across(image.width, width);
  if (height == image.height) return filter_rows(image, across);
  const Filter down(image.height, height);
  if (columns_first(image, width, height)) return filter_rows(filter_columns(image, down), across);
  return filter_columns(filter_rows(image, across), down);
}

Tensor resize_bilinear(const Tensor& x, int64_t width, int64_t height) {
  check_size(width, height);
  if (!x.defined() || !x.is_floating_point() || (x.dim() != 3 && x.dim() != 4))
    throw usage_error("resize_bilinear: expected a float tensor [C,H,W] or [B,C,H,W]");
  const Tensor batch = x.dim() == 3 ? x.unsqueeze(0) : x;
  const Tensor resized = at::_upsample_bilinear2d_aa(batch, {height, width}, /*align_corners=*/false);
  return x.dim() == 3 ? resized.squeeze(0) : resized;
}

ImageSize resized_shorter_side(ImageSize size, int64_t n) {
  if (size.width < 1 || size.height < 1 || n < 1)
    throw usage_error(fmt::format("cannot resize {}x{} to a shorter side of {}", size.width, size.height, n));
  if (size.width <= size.height) return {n, n * size.height / size.width};
  return {n * size.width / size.height, n};
}

}  // namespace unnoise
