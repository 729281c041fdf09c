#include "unnoise/nn/allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>

namespace unnoise {
namespace {

std::atomic<kernels::CachingAllocator*> installed{nullptr};

void free_block(void* block) { installed.load(std::memory_order_relaxed)->deallocate(block); }

class TensorAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, c10::Device(c10::DeviceType::CPU)};
    void* const block = installed.load(std::memory_order_relaxed)->allocate(bytes);
    return {block, block, &free_block, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }
};

}  // namespace

void use_caching_allocator() {
  // Neither is ever destroyed: tensors in static variables may be freed after everything else.
  static const bool once = [] {
    installed.store(new kernels::CachingAllocator(), std::memory_order_relaxed);
    constexpr uint8_t kAboveTheDefault = 1;
    c10::SetCPUAllocator(new TensorAllocator(), kAboveTheDefault);
    return true;
  }();
  static_cast<void>(once);
}

kernels::CachingAllocatorStatistics allocator_statistics() {
  const auto* const allocator = installed.load(std::memory_order_relaxed);
  return allocator ? allocator->statistics() : kernels::CachingAllocatorStatistics();
}

void release_cached_memory() {
  if (auto* const allocator = installed.load(std::memory_order_relaxed)) allocator->release_cached();
}

}  // namespace unnoise
