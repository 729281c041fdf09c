#include "unnoise/training/autocast.h"

#include <ATen/autocast_mode.h>

#include "unnoise/core/error.h"

namespace unnoise {

void check_precision(Precision precision) {
  if (precision == Precision::fp16)
    throw usage_error(
        "mixed_precision: fp16 cannot train here: half-precision gradients underflow without loss scaling",
        "Use bf16, which has float32's range, or no.");
}

AutocastScope::AutocastScope(Precision precision, at::DeviceType device)
    : device_(device),
      was_enabled_(at::autocast::is_autocast_enabled(device)),
      previous_dtype_(at::autocast::get_autocast_dtype(device)) {
  check_precision(precision);
  at::autocast::increment_nesting();
  at::autocast::set_autocast_enabled(device, precision == Precision::bf16);
  if (precision == Precision::bf16) at::autocast::set_autocast_dtype(device, at::kBFloat16);
}

AutocastScope::~AutocastScope() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
  at::autocast::set_autocast_dtype(device_, previous_dtype_);
}

}  // namespace unnoise
