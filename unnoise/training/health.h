// Signs that a training run has gone wrong, from the numbers that every step has anyway.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "unnoise/core/fields.h"
#include "unnoise/core/json.h"

namespace unnoise {

/// What TrainingHealth remembers.
struct HealthSeen {
  int64_t steps = 0;
  int64_t still = 0;
  double mean = 0, lowest = 0;
  bool said_dead = false, said_exploding = false;

  static constexpr auto fields() {
    return std::tuple{field("steps", &HealthSeen::steps, "looked at"),
                      field("still", &HealthSeen::still, "steps in a row without a gradient"),
                      field("mean", &HealthSeen::mean, "running mean of the loss"),
                      field("lowest", &HealthSeen::lowest, "of it since the first steps"),
                      field("said_dead", &HealthSeen::said_dead, "that the gradient is zero"),
                      field("said_exploding", &HealthSeen::said_exploding, "that the loss explodes")};
  }
};

/// Feed it each step; it speaks up once for each kind of trouble:
///   dead       the gradient was exactly zero for 10 steps with a learning rate above zero
///   exploding  the running mean of the loss has risen to 4 times its lowest since the first 50 steps
class TrainingHealth {
 public:
  /// A sentence on what is wrong and what to do, the first time that it is.
  std::optional<std::string> look(double loss, double grad_norm, double learning_rate);

  /// What it has seen so far, for a checkpoint; and back. Error::usage names `where` and the key.
  Json state() const { return to_json(seen_); }
  void load_state(const Json& state, std::string_view where) { assign_json(seen_, state, where); }

 private:
  HealthSeen seen_;
};

}  // namespace unnoise
