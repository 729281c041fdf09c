// Loss scaling for float16, whose smallest number is 6e-8: gradients are computed of a multiple of the loss, so that
// they do not vanish, and divided again before the update. Micikevicius et al. 2018, "Mixed Precision Training", 3.2.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {

/// Defaults are those of torch.amp.GradScaler.
struct GradScalerOptions {
  double init_scale = 65536;
  double growth_factor = 2;     ///< of the scale, after growth_interval updates without an infinity
  double backoff_factor = 0.5;  ///< of the scale, after one with an infinity, which is left out
  int64_t growth_interval = 2000;
};

/// The rule of torch.amp.GradScaler. For each update: multiply the loss by scale(), call backward(), unscale(), move
/// the weights if that said so, then update().
class GradScaler {
 public:
  explicit GradScaler(const GradScalerOptions& options = {}) : options_(options), scale_(options.init_scale) {}

  double scale() const { return scale_; }
  /// Divides the gradients by the scale, in place. False when one of them is not finite: the update is to be left out.
  bool unscale(const std::vector<Tensor>& parameters) const;
  /// Adapts the scale to what unscale() found.
  void update(bool finite);

  /// {"scale": ..., "growth_tracker": ...}, for a checkpoint; and back. Error::usage names `where` and the key.
  Json state() const;
  void load_state(const Json& state, std::string_view where);

 private:
  GradScalerOptions options_;
  double scale_;
  int64_t growth_tracker_ = 0;  ///< updates since the last infinity or growth
};

}  // namespace unnoise
