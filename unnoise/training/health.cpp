#include "unnoise/training/health.h"

#include <fmt/format.h>

#include <algorithm>

namespace unnoise {
namespace {

constexpr int64_t kStillSteps = 10, kFirstSteps = 50;
constexpr double kKeep = 0.95, kExploded = 4.0;

}  // namespace

std::optional<std::string> TrainingHealth::look(double loss, double grad_norm, double learning_rate) {
  ++steps_;
  mean_ = steps_ == 1 ? loss : kKeep * mean_ + (1 - kKeep) * loss;
  lowest_ = steps_ <= kFirstSteps ? mean_ : std::min(lowest_, mean_);
  still_ = grad_norm == 0 && learning_rate > 0 ? still_ + 1 : 0;
  if (still_ == kStillSteps && !said_dead_) {
    said_dead_ = true;
    return fmt::format(
        "the gradient has been exactly zero for {} steps: the network is dead and learns nothing. Start "
        "again with a lower learning rate, or other initial weights (--seed).",
        kStillSteps);
  }
  if (mean_ > kExploded * lowest_ && !said_exploding_) {
    said_exploding_ = true;
    return fmt::format(
        "the loss is exploding: its running mean is {:.3g}, after {:.3g} at best. Stop, and go on from a "
        "checkpoint before it rose, or start again, with a lower learning rate or a longer warm-up.",
        mean_, lowest_);
  }
  return std::nullopt;
}

}  // namespace unnoise
