// Memory that a kernel needs while it runs, kept for its next call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace unnoise::kernels {

/// A block that only grows, aligned to a cache line. One a thread and purpose: `thread_local Scratch v;`.
class Scratch {
 public:
  /// At least `count` values of T, their contents undefined. Earlier pointers become invalid.
  template <class T>
  T* get(int64_t count) {
    const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    if (bytes > size_) {
      block_.reset();
      size_ = 0;
      block_.reset(std::aligned_alloc(kAlignment, bytes));
      if (!block_) throw std::bad_alloc();
      size_ = bytes;
    }
    return static_cast<T*>(block_.get());
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> block_;
  std::size_t size_ = 0;
};

/// For the packed weights and the like of the kernel that this thread runs: a layer's largest buffer. A kernel calls no
/// other that packs, so that all of them share it.
inline Scratch& kernel_scratch() {
  thread_local Scratch scratch;
  return scratch;
}
/// Likewise, for a kernel that needs two.
inline Scratch& second_kernel_scratch() {
  thread_local Scratch scratch;
  return scratch;
}

}  // namespace unnoise::kernels
