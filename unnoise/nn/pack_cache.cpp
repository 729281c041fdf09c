#include "unnoise/nn/pack_cache.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

namespace unnoise {

bool PackCache::is_for(const Tensor& weight) {
  return !c10::GradMode::is_enabled() && !weight.requires_grad() && !weight.is_inference();
}

bool PackCache::is_current(const Tensor& weight, at::ScalarType type) const {
  return packed_.defined() && packed_.scalar_type() == type && source_ == weight.const_data_ptr() &&
         version_ == weight._version();
}

void PackCache::remember(const Tensor& weight) {
  source_ = weight.const_data_ptr();
  version_ = weight._version();
}

Tensor PackCache::make(at::ScalarType type, int64_t size) { return at::empty({size}, type); }

}  // namespace unnoise
