// What residual blocks are told of the time, at each step or for all steps of a sampling at once.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "unnoise/nn/tensor.h"

namespace unnoise {

class Module;

/// The time projections of a network's blocks for the next steps of a sampling. Made at once, their weights, which for
/// one picture are more to read than to multiply, are read once in kSteps steps.
class TimePlan {
 public:
  static constexpr size_t kSteps = 7;  ///< so few rows are multiplied as one is, to the bit (nn/linear.cpp)

  TimePlan() = default;  ///< of no steps
  /// timesteps [N], of any type, N at most kSteps.
  explicit TimePlan(const Tensor& timesteps);
  /// The rows of `block`, [N,C].
  void add(const Module& block, const Tensor& rows) { rows_.emplace(&block, rows); }

  /// The step that tells all pictures `timesteps`, if there is one.
  std::optional<int64_t> find(const Tensor& timesteps) const;
  /// [1,C]
  Tensor row(const Module& block, int64_t step) const;

 private:
  std::vector<double> timesteps_;
  std::unordered_map<const Module*, Tensor> rows_;
};

/// The time of a batch: an embedding of each picture's, or a step of a plan.
struct TimeInput {
  TimeInput(Tensor embedding) : temb(std::move(embedding)) {}  // NOLINT(google-explicit-constructor)
  TimeInput(const TimePlan& from, int64_t at) : plan(&from), step(at) {}

  Tensor temb;  ///< [B,temb_channels]; undefined with a plan
  const TimePlan* plan = nullptr;
  int64_t step = 0;
};

}  // namespace unnoise
