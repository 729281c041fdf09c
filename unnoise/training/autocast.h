// Mixed precision: within a scope, matrix products and convolutions run in bfloat16 or float16 while weights, norms and
// losses stay float32.
#pragma once

#include <ATen/core/Tensor.h>

#include "unnoise/training/precision.h"

namespace unnoise {

/// Throws Error::usage, with a hint, for a precision that is no use on the device: fp16 on a processor, which gives up
/// float32's range and gains nothing.
void check_precision(Precision precision, at::DeviceType device);

/// Autocast of this thread, from construction to destruction; what was set before comes back. Leaving the outermost
/// scope clears the cache of converted weights, without which the next forward pass would use the weights from before
/// an update.
class AutocastScope {
 public:
  /// Precision::no switches autocast off within the scope.
  AutocastScope(Precision precision, at::DeviceType device);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  at::DeviceType device_;
  bool was_enabled_;
  at::ScalarType previous_dtype_;
};

}  // namespace unnoise
