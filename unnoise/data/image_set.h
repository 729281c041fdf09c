// Pictures and batches in two lines, for programs that write their own training loop.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "unnoise/data/loader.h"
#include "unnoise/nn/rng.h"

namespace unnoise {

struct ImageSetOptions {
  std::string path;  ///< folder, IDX file, or a name such as "fashion-mnist"
  std::string split = "train";
  int64_t resolution = 64;
  ImageMode mode = ImageMode::rgb;
  bool center_crop = false;
  bool random_flip = false;
};

struct ImageBatch {
  Tensor images;  ///< [B,C,resolution,resolution] float32 in [-1,1]
  Tensor labels;  ///< [B] int64; undefined without labels
};

/// One epoch of batches, for a range-based for. Move-only; made by ImageSet::batches.
class BatchRange {
 public:
  class Iterator {
   public:
    explicit Iterator(BatchRange& range) : range_(&range) {}
    const ImageBatch& operator*() const { return range_->current_; }
    Iterator& operator++();
    bool operator==(std::default_sentinel_t) const { return range_->done_; }

   private:
    BatchRange* range_;
  };

  explicit BatchRange(Loader loader) : loader_(std::move(loader)), left_(loader_.batches_per_epoch()) {}
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

 private:
  void advance();

  Loader loader_;
  int64_t left_;
  bool done_ = false;
  ImageBatch current_;
};

/// A data set with its transforms. Decoded pictures are kept, so that the second epoch is fast.
///
///   const unnoise::ImageSet data({.path = "butterflies", .resolution = 32});
///   for (const auto& [images, labels] : data.batches(64, rng)) ...
class ImageSet {
 public:
  explicit ImageSet(const ImageSetOptions& options, const Observer& observer = {});

  int64_t size() const { return store_->data().size(); }
  const Dataset& data() const { return store_->data(); }
  /// Every picture once, in an order, with crops and flips, that one draw from `rng` decides. The last batch may be
  /// short.
  BatchRange batches(int64_t batch_size, Rng& rng) const;

 private:
  std::shared_ptr<PictureStore> store_;
  Observer observer_;
};

}  // namespace unnoise
