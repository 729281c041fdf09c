#include "unnoise/training/autocast.h"

#include <ATen/autocast_mode.h>

#include "unnoise/core/error.h"

namespace unnoise {

void check_precision(Precision precision, at::DeviceType device) {
  if (precision == Precision::fp16 && device == at::kCPU)
    throw usage_error("mixed_precision: fp16 is for GPUs: on a processor it is slower than float32",
                      "Use bf16, which has float32's range, or no.");
}

AutocastScope::AutocastScope(Precision precision, at::DeviceType device)
    : device_(device),
      was_enabled_(at::autocast::is_autocast_enabled(device)),
      previous_dtype_(at::autocast::get_autocast_dtype(device)) {
  at::autocast::increment_nesting();
  at::autocast::set_autocast_enabled(device, precision != Precision::no);
  if (precision != Precision::no)
    at::autocast::set_autocast_dtype(device, precision == Precision::bf16 ? at::kBFloat16 : at::kHalf);
}

AutocastScope::~AutocastScope() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
  at::autocast::set_autocast_dtype(device_, previous_dtype_);
}

}  // namespace unnoise
