#include "unnoise/nn/pack_cache.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

namespace unnoise {

bool PackCache::is_for(const Tensor& weight) {
  return !c10::GradMode::is_enabled() && !weight.requires_grad() && !weight.is_inference();
}

bool PackCache::is_current(const Tensor& weight, at::ScalarType type, int64_t size) const {
  return packed_.defined() && packed_.scalar_type() == type && packed_.numel() == size &&
         source_ == weight.const_data_ptr() && version_ == weight._version();
}

void PackCache::remember(const Tensor& weight) {
  source_ = weight.const_data_ptr();
  version_ = weight._version();
}

Tensor PackCache::make(at::ScalarType type, int64_t size) { return at::empty({size}, type); }

Tensor autocast_weight(const Tensor& weight, PackCache* cache) {
  const bool converts =
      at::autocast::is_autocast_enabled(at::kCPU) && weight.is_cpu() && weight.scalar_type() == at::kFloat;
  if (!converts || !cache || !PackCache::is_for(weight)) return weight;
  const auto copy = [&](Tensor& to) { to.copy_(weight.reshape({-1})); };
  return cache->get(weight, at::autocast::get_autocast_dtype(at::kCPU), weight.numel(), copy).view(weight.sizes());
}

}  // namespace unnoise
