// Self-attention over the pixels of a feature map.
#pragma once

#include <optional>

#include "unnoise/nn/layers.h"

namespace unnoise {

struct AttentionOptions {
  int64_t channels = 0;
  int64_t head_dim = 8;                     ///< channels / head_dim heads (rounded down), at least one
  std::optional<int64_t> norm_groups = {};  ///< unset: no group norm before it
  double eps = 1e-5;
  double output_scale_factor = 1;  ///< the sum with the input is divided by it
};

/// softmax(q k' / sqrt(head_dim)) v of the pixels (Vaswani et al. 2017, eq. 1), plus the input. [B,C,H,W] -> [B,C,H,W].
class Attention final : public Module {
 public:
  /// Throws Error::usage when a head is wider than the channels.
  Attention(const AttentionOptions& options, Rng* init);
  Tensor operator()(const Tensor& x) const;
  std::string describe() const override;

 private:
  /// The list that holds the output projection under the key "to_out.0".
  class Output final : public Module {
   public:
    explicit Output(Linear& linear) { add_child("0", linear); }
    std::string describe() const override { return "ModuleList"; }
  };

  Tensor mix(const Tensor& x) const;                  ///< what is added to x, by LibTorch's operators
  Tensor with_mix_on_kernels(const Tensor& x) const;  ///< x and what is added to it

  AttentionOptions options_;
  int64_t heads_;
  std::optional<GroupNorm> group_norm_;
  Linear to_q_, to_k_, to_v_, to_out_0_;
  Output to_out_;
};

}  // namespace unnoise
