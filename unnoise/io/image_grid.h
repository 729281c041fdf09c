// Samples of a network to pictures, one by one or tiled on one sheet.
#pragma once

#include <cstdint>
#include <vector>

#include "unnoise/io/image.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// One picture a sample. x [N,C,H,W], C = 1 to 4, any float dtype and device, in [-1,1]: (x/2 + 0.5) clamped to [0,1],
/// times 255, rounded half to even: the rule of diffusers' pipelines. NaN becomes 0.
std::vector<Image> to_images(const Tensor& x);

/// The pictures of x [N,C,H,W] (as in to_images) on one sheet, row by row, with `padding` black pixels around each: the
/// geometry of torchvision's make_grid, with which 8x3x32x32 in 8 columns is 274x36 pixels and a single picture has no
/// border. One channel stays one channel. columns = 0 chooses ceil(sqrt(N)).
Image image_grid(const Tensor& x, int64_t columns = 0, int64_t padding = 2);

/// The same for pictures of one size and number of channels.
Image image_grid(const std::vector<Image>& images, int64_t columns = 0, int64_t padding = 2);

/// Ink on paper: 255 minus every sample. Of a sheet the gaps become white.
Image inverted(Image image);

}  // namespace unnoise
