// AdamW, Adam and SGD with torch.optim's arithmetic, and rules of their own files (update_rule.h), in place on a list
// of named parameters.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "unnoise/nn/tensor.h"
#include "unnoise/training/optimizer_type.h"

namespace unnoise {

class UpdateRule;

/// Defaults are those of diffusers' train_unconditional.py.
struct OptimizerOptions {
  OptimizerType type = OptimizerType::adamw;
  double learning_rate = 1e-4;
  double beta1 = 0.95;    ///< not sgd: [0,1)
  double beta2 = 0.999;   ///< not sgd: [0,1)
  double epsilon = 1e-8;  ///< the kinds of adam
  double weight_decay = 1e-6;
  double momentum = 0.9;  ///< sgd; 0 = none
  bool nesterov = false;  ///< sgd
};

/// Holds the parameters (handles, not copies) and the running averages, float32 or whatever the parameters are.
/// Parameters that need no gradient are left out; one that has none at a step is skipped, as in torch.
class Optimizer {
 public:
  /// Throws Error::usage for a value out of range, or when there is nothing to train.
  Optimizer(const StateDict& named_parameters, const OptimizerOptions& options);
  ~Optimizer();

  /// For the next step(); schedules set it each time.
  void set_learning_rate(double learning_rate) { options_.learning_rate = learning_rate; }
  double learning_rate() const { return options_.learning_rate; }

  /// Drops the gradients.
  void zero_grad();
  /// One update from the gradients that are there.
  void step();

  const OptimizerOptions& options() const { return options_; }
  const std::vector<Tensor>& parameters() const { return parameters_; }

  /// "<parameter>.step" (0-dim float32), ".exp_avg", ".exp_avg_sq"; for SGD ".momentum_buffer"; for other rules what
  /// they keep. The tensors are the optimizer's own.
  StateDict state() const;
  /// Sets what state() gave, bit for bit. Error::data lists missing, unexpected or misshapen entries and names `where`;
  /// nothing is changed when it throws. Options, the learning rate among them, are not part of the state.
  void load_state(const StateDict& state, std::string_view where);

 private:
  friend class FusedUpdate;

  /// The fused kernels walk parameter and gradient side by side in memory.
  static Tensor laid_out_like(const Tensor& gradient, const Tensor& parameter);
  void step_adam();
  void step_sgd();
  void step_rules();

  OptimizerOptions options_;
  std::vector<std::string> names_;
  std::vector<Tensor> parameters_;
  std::vector<std::unique_ptr<UpdateRule>> rules_;    ///< one a parameter; null = one of LibTorch's operators
  std::vector<Tensor> steps_, exp_avg_, exp_avg_sq_;  ///< Adam and AdamW
  std::vector<Tensor> momentum_;                      ///< SGD
};

/// Scales the gradients of `parameters` together so that their 2-norm is at most `max_norm` (factor max_norm / (norm +
/// 1e-6), as torch does), and returns the norm before. A norm that is not finite is returned and the gradients are left
/// alone. max_norm = infinity only measures.
double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm);

}  // namespace unnoise
