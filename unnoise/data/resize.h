// Antialiased bilinear resizing as Pillow and torchvision do it: the triangle filter grows with the reduction, so that 512 -> 64
// averages 8x8 neighbourhoods instead of picking single pixels.
#pragma once

#include <cstdint>

#include "unnoise/io/image.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Equal, to the bit, to Pillow's image.resize((width, height), BILINEAR) for modes L and RGB: a horizontal pass, then a vertical
/// one; coefficients are 22-bit fixed point and each pass rounds to 8 bits. 2 and 4 channels are filtered like independent
/// channels (Pillow premultiplies alpha there). Throws Error::usage for sizes below 1 or above 2^16.
Image resize_bilinear(const Image& image, int64_t width, int64_t height);

/// x [...,H,W] float32 on the CPU -> [...,height,width] float32: torchvision's resize(antialias=True) of a float tensor,
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
