// How one parameter follows its gradient, for the optimizers that LibTorch has no operator for.
#pragma once

#include <memory>
#include <string>

#include "unnoise/nn/tensor.h"
#include "unnoise/training/optimizer.h"

namespace unnoise {

/// Holds the running averages of one parameter.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  UpdateRule() = default;
  UpdateRule(const UpdateRule&) = delete;
  UpdateRule& operator=(const UpdateRule&) = delete;

  /// Moves the parameter in place. `gradient` has its shape and layout. Autograd is off.
  virtual void update(const Tensor& parameter, const Tensor& gradient, const OptimizerOptions& options) = 0;
  /// What a checkpoint keeps: names that follow "<parameter>.", and the rule's own tensors.
  virtual StateDict state() const = 0;
};

/// The rule for this parameter, or null where Adam's, AdamW's or SGD's operators serve: for those types, and under Muon
/// and AdamW8bit for the parameters that they leave to AdamW.
std::unique_ptr<UpdateRule> make_update_rule(const OptimizerOptions& options, const std::string& name,
                                             const Tensor& parameter);

}  // namespace unnoise
