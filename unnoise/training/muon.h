// Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"): momentum, made orthogonal, so
// that all directions of a weight matrix move alike.
#pragma once

#include <string>

#include "unnoise/training/update_rule.h"

namespace unnoise {

/// Matrices of the hidden layers. Vectors (one row or one column is one), the first and the last convolution and
/// embedding tables are AdamW's: their singular values mean something else (Jordan et al. 2024).
bool muon_moves(const std::string& name, const Tensor& parameter);

/// The nearest matrix to g [rows, columns] whose singular values are all alike, about: five Newton-Schulz steps
/// X <- a X + (b A + c A^2) X, A = X X', (a, b, c) = (3.4445, -4.7750, 2.0315), which bring the singular values of
/// g / |g| to between 0.7 and 1.2. bfloat16 on a GPU, as in the paper; float32 on the processor.
Tensor orthogonalized(const Tensor& g);

/// m = 0.95 m + 0.05 g; u = orthogonalized(0.95 m + 0.05 g) (Nesterov); p -= lr (0.2 sqrt(max(rows, columns)) u +
/// weight_decay p). The factor gives u the size of Adam's updates (Liu et al. 2025, "Muon is Scalable for LLM
/// Training", section 2.2), so that one learning rate serves both. A convolution's kernel [O,I,h,w] is a matrix
/// [O,Ihw]. This is torch.optim.Muon with adjust_lr_fn="match_rms_adamw".
/// state: "momentum_buffer".
class Muon final : public UpdateRule {
 public:
  explicit Muon(const Tensor& parameter);
  void update(const Tensor& parameter, const Tensor& gradient, const OptimizerOptions& options) override;
  StateDict state() const override { return {{"momentum_buffer", momentum_}}; }

 private:
  Tensor momentum_;
};

}  // namespace unnoise
