// From a decoded picture to the network's input, step by step as diffusers' train_unconditional.py does it:
// channels -> Resize -> CenterCrop or RandomCrop -> RandomHorizontalFlip -> ToTensor -> Normalize(0.5, 0.5).
#pragma once

#include <cstdint>
#include <vector>

#include "unnoise/data/resize.h"
#include "unnoise/io/image_read.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

struct TransformOptions {
  int64_t resolution = 64;  ///< side of the square that comes out
  ImageMode mode = ImageMode::rgb;
  bool center_crop = false;               ///< else a random crop
  bool random_flip = false;               ///< mirror half of the pictures
  bool preserve_input_precision = false;  ///< no rounding to 8 bits on the way: for 16-bit pictures
};

/// A picture in the network's channels whose shorter side is the resolution: all that needs no chance, so it can be
/// kept.
struct ResizedPicture {
  Image image;    ///< 1 or 3 channels; empty when precision is preserved, then:
  Tensor values;  ///< [C,H,W] float32 in [0,1]

  int64_t width() const;
  int64_t height() const;
  int64_t bytes() const;
};
ResizedPicture resize_for_training(DecodedImage image, const TransformOptions& options);

/// Which square of a resized picture is seen, and how.
struct View {
  int64_t top = 0;
  int64_t left = 0;
  bool flip = false;
  bool operator==(const View&) const = default;
};

/// The view of one draw. `key` is the only source of chance: the same key gives the same view, whoever asks and when.
/// Centre offsets are round((side - resolution) / 2), halves to even, as torchvision's; random ones are uniform.
View choose_view(const ResizedPicture& picture, const TransformOptions& options, uint64_t key);

/// Writes the view to out [C,resolution,resolution], float32 in [-1,1]: (v - 0.5) / 0.5 of v in [0,1] (8-bit v = p /
/// 255).
void write_view(const ResizedPicture& picture, const View& view, int64_t resolution, float* out);

/// Well-mixed 64 bits of three numbers: splitmix64 (Steele, Lea and Flood 2014) applied after adding each in turn.
uint64_t mix(uint64_t a, uint64_t b, uint64_t c = 0);

}  // namespace unnoise
