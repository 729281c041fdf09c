// Pictures in memory, as bytes: what drawn and real pictures are compared as, so that a folder of PNG files and the
// samples that it was written from give the same numbers.
#pragma once

#include <memory>
#include <stop_token>

#include "unnoise/core/observer.h"
#include "unnoise/data/loader.h"

namespace unnoise {

struct PictureSet {
  Tensor pixels;  ///< [N,C,H,W] uint8
  Tensor labels;  ///< [N] int64; undefined without

  int64_t size() const { return pixels.defined() ? pixels.size(0) : 0; }
  int64_t channels() const { return pixels.size(1); }
  int64_t resolution() const { return pixels.size(2); }
};

/// The first `count` of the loader's order (0 = all); fewer when stopped. Error::usage when more than 8 GB of them were
/// asked for.
PictureSet read_pictures(const std::shared_ptr<const Dataset>& data, LoaderOptions options, int64_t count,
                         const Observer& observer, const std::stop_token& stop);

/// x [N,C,H,W] in [-1,1] -> uint8, rounded as a PNG would be (io/image_grid.h).
Tensor to_bytes(const Tensor& x);
/// uint8 -> float32 in [-1,1].
Tensor from_bytes(const Tensor& pixels);
/// The set with its mirror images behind it.
PictureSet with_mirrored(const PictureSet& set);
/// `count` of the set, drawn by `seed`; all, in order, when it has no more.
PictureSet draw_pictures(const PictureSet& set, int64_t count, uint64_t seed);

}  // namespace unnoise
