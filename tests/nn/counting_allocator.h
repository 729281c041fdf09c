// Counts what tensors ask the allocator for: work that a test can gate where time cannot be.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstdint>

namespace unnoise {

struct Allocations {
  int64_t count = 0;
  int64_t bytes = 0;
};

/// While it lives, every CPU tensor's memory comes from the allocator that was there before, and is counted. Memory
/// that libraries take for themselves (MKL, oneDNN, std::vector) is not seen. One at a time.
class CountingAllocator final : public c10::Allocator {
 public:
  CountingAllocator() : inner_(c10::GetCPUAllocator()) { c10::SetCPUAllocator(this, kPriority); }
  ~CountingAllocator() override { c10::SetCPUAllocator(inner_, kPriority); }
  CountingAllocator(const CountingAllocator&) = delete;
  CountingAllocator& operator=(const CountingAllocator&) = delete;

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes > 0) ++count_;  // an empty tensor has no memory
    bytes_ += static_cast<int64_t>(bytes);
    return inner_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return inner_->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t bytes) const override { inner_->copy_data(to, from, bytes); }

  /// What f() asks for.
  template <class F>
  Allocations during(const F& f) {
    const Allocations before{count_, bytes_};
    f();
    return {count_ - before.count, bytes_ - before.bytes};
  }

 private:
  static constexpr uint8_t kPriority = 255;
  c10::Allocator* inner_;
  std::atomic<int64_t> count_ = 0, bytes_ = 0;
};

}  // namespace unnoise
