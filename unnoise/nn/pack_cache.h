// Weights in a kernel's own order, for sampling: packed at the first call, kept until they change.
#pragma once

#include <cstdint>
#include <mutex>

#include "unnoise/nn/tensor.h"

namespace unnoise {

/// One a layer. Calls from several threads are safe.
class PackCache {
 public:
  /// Whether `weight` is worth keeping packed: nothing is being trained. (Training changes weights at every step, and
  /// its optimizer does not tell.)
  static bool is_for(const Tensor& weight);

  /// `size` values of `type`, aligned to 64 bytes, that pack(to) filled from `weight` as it is now.
  template <class Pack>
  Tensor get(const Tensor& weight, at::ScalarType type, int64_t size, const Pack& pack) {
    const std::lock_guard lock(mutex_);
    if (!is_current(weight, type, size)) {
      packed_ = Tensor();  // free first: both together would be a peak of memory
      packed_ = make(type, size);
      pack(packed_);
      remember(weight);
    }
    return packed_;
  }

 private:
  bool is_current(const Tensor& weight, at::ScalarType type, int64_t size) const;
  void remember(const Tensor& weight);
  static Tensor make(at::ScalarType type, int64_t size);

  std::mutex mutex_;
  Tensor packed_;
  const void* source_ = nullptr;
  int64_t version_ = -1;
};

/// What a LibTorch operator should take for `weight`: under autocast, which would convert it at every call, the copy in
/// `cache` where that is for it. `cache` may be null.
Tensor autocast_weight(const Tensor& weight, PackCache* cache);

}  // namespace unnoise
