// Antialiased bilinear resizing as Pillow and torchvision do it: the triangle filter grows with the reduction, so that
// 512 -> 64 averages 16x16 neighbourhoods instead of picking single pixels.
#pragma once

#include <cstdint>

#include "unnoise/io/image.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Equal, to the bit, to image.resize((width, height), BILINEAR) of Pillow 13 in modes L and RGB: a pass along the rows
/// and one along the columns, the latter first where the height shrinks by more than twice as many pixels as the width;
/// coefficients are 22-bit fixed point and each pass rounds to 8 bits. With 2 and 4 channels each is filtered alone
/// (Pillow premultiplies by alpha). Throws Error::usage for sides below 1 or above 65536.
Image resize_bilinear(const Image& image, int64_t width, int64_t height);

/// x [C,H,W] or [B,C,H,W] of a float dtype -> [..., height, width]: torchvision's resize(antialias=True) of a tensor
/// = torch.nn.functional.interpolate(mode="bilinear", align_corners=False, antialias=True).
Tensor resize_bilinear(const Tensor& x, int64_t width, int64_t height);

struct ImageSize {
  int64_t width = 0;
  int64_t height = 0;
  bool operator==(const ImageSize&) const = default;
};

/// torchvision's Resize(n): the shorter side becomes n, the longer trunc(n * long / short).
ImageSize resized_shorter_side(ImageSize size, int64_t n);

}  // namespace unnoise
