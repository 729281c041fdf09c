// Mixed precision: within a scope, matrix products and convolutions run in bfloat16 while weights, norms and losses
// stay float32.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <utility>

namespace unnoise {

/// The names of diffusers' --mixed_precision.
enum class Precision { no, bf16, fp16 };
constexpr auto enum_names(Precision) {
  return std::array{std::pair{Precision::no, "no"}, std::pair{Precision::bf16, "bf16"},
                    std::pair{Precision::fp16, "fp16"}};
}

/// Throws Error::usage, with a hint, for a precision that cannot train: fp16, whose gradients underflow without loss
/// scaling.
void check_precision(Precision precision);

/// Autocast of this thread, from construction to destruction; what was set before comes back. Leaving the outermost
/// scope clears the cache of converted weights, without which the next forward pass would use the weights from before
/// an update.
class AutocastScope {
 public:
  /// Precision::no switches autocast off within the scope. Throws as check_precision().
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
