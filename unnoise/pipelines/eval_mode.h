// A network without dropout for as long as it is sampled from.
#pragma once

#include "unnoise/nn/module.h"

namespace unnoise {

/// Dropout is off while it lives.
class EvalMode {
 public:
  explicit EvalMode(Module& module) : module_(module), was_training_(module.is_training()) { module_.eval(); }
  ~EvalMode() { module_.train(was_training_); }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  Module& module_;
  const bool was_training_;
};

}  // namespace unnoise
