// From what a file stores to what a network sees: Pillow's conversions.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "unnoise/io/image.h"
#include "unnoise/io/image_mode.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// How many channels a network sees.
constexpr int64_t image_channels(ImageMode mode) { return mode == ImageMode::grey ? 1 : 3; }

/// Pillow's Image.convert("L") (1 channel) or convert("RGB") (3 channels), to the bit: alpha is dropped, not blended;
/// palettes are looked up; grey = (19595 R + 38470 G + 7471 B + 32768) >> 16 (ITU-R 601-2). 16-bit grey is cut off at
/// 255, as Pillow does it, which leaves most such pictures white: use preserving_tensor for them.
Image convert(const DecodedImage& image, ImageMode mode);
/// The same without a copy where the picture has these channels already.
Image convert(DecodedImage&& image, ImageMode mode);

/// [C,H,W] float32 in [0,1] without loss of 16-bit precision: --preserve_input_precision of diffusers'
/// train_unconditional.py. Palette -> RGB; 16-bit grey / 65535, everything else / 255. Then for rgb: one channel is
/// repeated three times, of two the first is appended, of more than three the first three stay. For grey, which the
/// script does not know: of "LA" the first channel, of colours 0.299 R + 0.587 G + 0.114 B.
Tensor preserving_tensor(const DecodedImage& image, ImageMode mode);

}  // namespace unnoise
