// AdamW whose running averages take 8 bits a value (Dettmers et al. 2022): a quarter of the optimizer's memory.
#pragma once

#include "unnoise/training/block_quantization.h"
#include "unnoise/training/update_rule.h"

namespace unnoise {

/// Fewer values than this stay in float32, as in the paper's library: they weigh nothing, and biases and norms are
/// sensitive.
constexpr int64_t kSmallest8bit = 4096;

/// The averages are read from 8 bits, moved by AdamW in float32 and written back, block by block.
/// state: "step" (0-dim float32), "exp_avg.codes", "exp_avg.scale", "exp_avg_sq.codes", "exp_avg_sq.scale".
class AdamW8bit final : public UpdateRule {
 public:
  explicit AdamW8bit(const Tensor& parameter);
  void update(const Tensor& parameter, const Tensor& gradient, const OptimizerOptions& options) override;
  StateDict state() const override;

 private:
  void update_with_operators(const Tensor& parameter, const Tensor& gradient, const OptimizerOptions& options);

  Tensor step_;
  Quantized exp_avg_, exp_avg_sq_;
};

}  // namespace unnoise
