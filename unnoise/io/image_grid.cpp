#include "unnoise/io/image_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "unnoise/core/error.h"

namespace unnoise {

std::vector<Image> to_images(const Tensor& x) {
  if (!x.defined() || x.dim() != 4 || x.size(1) < 1 || x.size(1) > 4 || !x.is_floating_point())
    throw usage_error("to_images: expected a float tensor [N,C,H,W] with 1 to 4 channels");
  const Tensor unit = x.detach().cpu().to(at::kFloat).div(2).add(0.5).nan_to_num(0.0).clamp(0, 1);
  const Tensor bytes = unit.mul(255).round().to(at::kByte).permute({0, 2, 3, 1}).contiguous();  // [N,H,W,C]
  const uint8_t* from = bytes.const_data_ptr<uint8_t>();
  std::vector<Image> images;
  for (int64_t i = 0; i < x.size(0); ++i) {
    images.push_back(blank_image(x.size(3), x.size(2), x.size(1)));
    auto& pixels = images.back().pixels;
    std::memcpy(pixels.data(), from + i * static_cast<int64_t>(pixels.size()), pixels.size());
  }
  return images;
}

Image image_grid(const Tensor& x, int64_t columns, int64_t padding) {
  return image_grid(to_images(x), columns, padding);
}

Image image_grid(const std::vector<Image>& images, int64_t columns, int64_t padding) {
  if (images.empty() || columns < 0 || padding < 0)
    throw usage_error("image_grid: expected at least one picture, and columns and padding of at least 0");
  const Image& first = images.front();
  for (const Image& image : images) {
    check_image(image, "image_grid");
    if (image.width != first.width || image.height != first.height || image.channels != first.channels)
      throw usage_error(fmt::format("image_grid: pictures of {}x{}x{} and {}x{}x{} do not fit on one sheet",
                                    first.width, first.height, first.channels, image.width, image.height,
                                    image.channels));
  }
  if (images.size() == 1) return first;
  const auto count = static_cast<int64_t>(images.size());
  if (columns == 0) columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  columns = std::min(columns, count);
  const int64_t rows = (count + columns - 1) / columns;
  const int64_t step_x = first.width + padding, step_y = first.height + padding;
  Image sheet = blank_image(columns * step_x + padding, rows * step_y + padding, first.channels);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t left = padding + (i % columns) * step_x, top = padding + (i / columns) * step_y;
    for (int64_t y = 0; y < first.height; ++y)
      std::memcpy(sheet.row(top + y) + left * first.channels, images[static_cast<size_t>(i)].row(y),
                  static_cast<size_t>(first.width * first.channels));
  }
  return sheet;
}

Image inverted(Image image) {
  for (uint8_t& sample : image.pixels) sample = static_cast<uint8_t>(255 - sample);
  return image;
}

}  // namespace unnoise
