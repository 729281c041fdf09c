// Shuffled, resumable batches of training pictures, decoded ahead by background threads.
#pragma once

#include <cstdint>
#include <memory>

#include "unnoise/data/picture_store.h"

namespace unnoise {

struct Batch {
  Tensor images;       ///< [B,C,resolution,resolution] float32 in [-1,1]
  Tensor labels;       ///< [B] int64; undefined when the data set has no labels
  int64_t number = 0;  ///< counted from 0 over all epochs
};

struct LoaderOptions {
  int64_t resolution = 64;
  ImageMode mode = ImageMode::rgb;
  bool center_crop = false;
  bool random_flip = false;
  bool preserve_input_precision = false;
  int64_t batch_size = 16;
  int64_t share = 0;   ///< of each batch only this one of `shares` equal parts, in order: what one of several processes
  int64_t shares = 1;  ///< trains on. Parts of a short batch differ by one picture at most, and may be empty
  uint64_t seed = 0;
  int64_t num_workers = 0;                 ///< background threads; 0 = one a processor, at most 4
  int64_t cache_bytes = int64_t{1} << 30;  ///< for decoded pictures; as many as fit are kept
  bool shuffle = true;
  bool strict = false;  ///< a damaged picture is an error, not replaced (picture_store.h)

  TransformOptions transform() const;
};

/// The same (data, options) give the same batches, bit for bit, whatever the number of workers and wherever one starts:
/// - epoch e goes through Rng(mix(seed, e)).permutation(size), torch's randperm stream (shuffle = false: 0, 1, 2, ...);
/// - the crop and flip of the picture at position p of epoch e come from mix(mix(seed, e), p + 1), see transforms.h.
/// The last batch of an epoch holds what is left, as the script's DataLoader has it. Not more than 8 batches, and about
/// 256 MiB of them, are prepared ahead.
class Loader {
 public:
  Loader(std::shared_ptr<const Dataset> data, const LoaderOptions& options, const Observer& observer = {});
  /// Shares decoded pictures with other loaders; the store's own transform and strictness count.
  Loader(std::shared_ptr<PictureStore> store, const LoaderOptions& options, const Observer& observer = {});
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  int64_t batches_per_epoch() const;
  /// The next batch will be `batch_number`; batches prepared for elsewhere are dropped.
  void seek(int64_t batch_number);
  /// Blocks until the next batch is ready. Errors of the workers are thrown here, and again at each further call.
  /// Warnings of damaged pictures reach the observer from here. One caller at a time.
  Batch next();
  /// Time that next() has blocked so far.
  double seconds_waited() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace unnoise
