// Signs that a training run has gone wrong, from the numbers that every step has anyway.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace unnoise {

/// Feed it each step; it speaks up once for each kind of trouble:
///   dead       the gradient was exactly zero for 10 steps with a learning rate above zero
///   exploding  the running mean of the loss has risen to 4 times its lowest since the first 50 steps
class TrainingHealth {
 public:
  /// A sentence on what is wrong and what to do, the first time that it is.
  std::optional<std::string> look(double loss, double grad_norm, double learning_rate);

 private:
  int64_t steps_ = 0;
  int64_t still_ = 0;  ///< steps in a row without a gradient
  double mean_ = 0, lowest_ = 0;
  bool said_dead_ = false, said_exploding_ = false;
};

}  // namespace unnoise
