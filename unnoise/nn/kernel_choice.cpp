#include "unnoise/nn/kernel_choice.h"

#include <atomic>

namespace unnoise {
namespace {

std::atomic<Kernels> choice{Kernels::fast};
std::atomic<bool> must_be_deterministic{false};

}  // namespace

Kernels kernel_choice() { return choice.load(std::memory_order_relaxed); }

void set_kernel_choice(Kernels chosen) { choice.store(chosen, std::memory_order_relaxed); }

bool deterministic() { return must_be_deterministic.load(std::memory_order_relaxed); }

void set_deterministic(bool deterministic) { must_be_deterministic.store(deterministic, std::memory_order_relaxed); }

bool use_fast_kernels(const Tensor& x) {
  return kernel_choice() == Kernels::fast && x.is_cpu() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

Tensor channels_last(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

}  // namespace unnoise
