#include "unnoise/training/health.h"

#include <fmt/format.h>

#include <algorithm>

namespace unnoise {
namespace {

constexpr int64_t kStillSteps = 10, kFirstSteps = 50;
constexpr double kKeep = 0.95, kExploded = 4.0;

}  // namespace

std::optional<std::string> TrainingHealth::look(double loss, double grad_norm, double learning_rate) {
  ++seen_.steps;
  seen_.mean = seen_.steps == 1 ? loss : kKeep * seen_.mean + (1 - kKeep) * loss;
  seen_.lowest = seen_.steps <= kFirstSteps ? seen_.mean : std::min(seen_.lowest, seen_.mean);
  seen_.still = grad_norm == 0 && learning_rate > 0 ? seen_.still + 1 : 0;
  if (seen_.still == kStillSteps && !seen_.said_dead) {
    seen_.said_dead = true;
    return fmt::format(
        "the gradient has been exactly zero for {} steps: the network is dead and learns nothing. Start "
        "again with a lower learning rate, or other initial weights (--seed).",
        kStillSteps);
  }
  if (seen_.mean > kExploded * seen_.lowest && !seen_.said_exploding) {
    seen_.said_exploding = true;
    return fmt::format(
        "the loss is exploding: its running mean is {:.3g}, after {:.3g} at best. Stop, and go on from a "
        "checkpoint before it rose, or start again, with a lower learning rate or a longer warm-up.",
        seen_.mean, seen_.lowest);
  }
  return std::nullopt;
}

}  // namespace unnoise
