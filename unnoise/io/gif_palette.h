// At most 256 colours for a picture, and the picture in these colours.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "unnoise/io/image.h"

namespace unnoise {

using Colour = std::array<uint8_t, 3>;

/// A picture in palette colours: one index a pixel, row by row.
struct Indexed {
  std::vector<Colour> palette;  ///< 1 to 256
  std::vector<uint8_t> indices;

  bool operator==(const Indexed&) const = default;
};

/// Grey pictures become indices into 256 greys; a picture of at most 256 colours keeps them; for others the palette is
/// found by splitting the box of the largest variance (after Heckbert 1982, Wan et al. 1988) and two rounds of k-means,
/// and the picture is dithered in serpentine order (Floyd and Steinberg 1976). `image` has 1 or 3 channels.
Indexed indexed(const Image& image);

}  // namespace unnoise
