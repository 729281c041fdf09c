#include "unnoise/nn/kernel_choice.h"

#include <atomic>

namespace unnoise {
namespace {

std::atomic<Kernels> choice{Kernels::fast};

}  // namespace

Kernels kernels() { return choice.load(std::memory_order_relaxed); }

void set_kernels(Kernels kernels) { choice.store(kernels, std::memory_order_relaxed); }

bool use_fast_kernels(const Tensor& x) {
  return kernels() == Kernels::fast && x.is_cpu() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

Tensor channels_last(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

}  // namespace unnoise
