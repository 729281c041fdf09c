#include "unnoise/schedulers/timesteps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

/// To the nearest, halves to even: NumPy's round.
int64_t round_half_even(double x) { return static_cast<int64_t>(std::nearbyint(x)); }

std::vector<int64_t> leading(int64_t steps, int64_t train, int64_t offset) {
  const int64_t stride = train / steps;
  const int64_t shift = std::min(offset, train - 1 - (steps - 1) * stride);
  std::vector<int64_t> t;
  for (int64_t i = steps - 1; i >= 0; --i) t.push_back(i * stride + shift);
  return t;
}

std::vector<int64_t> linspace(int64_t steps, int64_t train) {
  if (steps == 1) return {0};
  const double stride = static_cast<double>(train - 1) / static_cast<double>(steps - 1);
  std::vector<int64_t> t{train - 1};
  for (int64_t i = steps - 2; i >= 0; --i) t.push_back(round_half_even(static_cast<double>(i) * stride));
  return t;
}

std::vector<int64_t> trailing(int64_t steps, int64_t train) {
  // NumPy's arange(T, 0, -T/N) takes its stride from the rounded second element, which decides ties.
  const auto start = static_cast<double>(train);
  const double stride = (start - start / static_cast<double>(steps)) - start;
  std::vector<int64_t> t;
  for (int64_t i = 0; i < steps; ++i) t.push_back(round_half_even(start + static_cast<double>(i) * stride) - 1);
  return t;
}

}  // namespace

std::vector<int64_t> spaced_timesteps(const GridOptions& grid, int64_t steps, int64_t num_train_timesteps) {
  if (steps < 1) throw usage_error(fmt::format("number of sampling steps: expected at least 1, found {}", steps));
  if (steps > num_train_timesteps)
    throw usage_error(
        fmt::format("number of sampling steps: {} is more than the {} timesteps that the model was trained with", steps,
                    num_train_timesteps),
        fmt::format("Ask for at most {} steps.", num_train_timesteps));
  switch (grid.timestep_spacing) {
    case TimestepSpacing::leading:
      if (grid.steps_offset < 0)
        throw usage_error(fmt::format("steps_offset: expected 0 or more, found {}", grid.steps_offset));
      return leading(steps, num_train_timesteps, grid.steps_offset);
    case TimestepSpacing::linspace:
      return linspace(steps, num_train_timesteps);
    case TimestepSpacing::trailing:
      return trailing(steps, num_train_timesteps);
  }
  throw usage_error("timestep_spacing: unknown value");
}

std::vector<int64_t> whole_timesteps(const std::vector<double>& timesteps, int64_t num_train_timesteps) {
  if (timesteps.empty()) throw usage_error("custom timesteps: the list is empty");
  const auto last = static_cast<double>(num_train_timesteps - 1);
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const double t = timesteps[i];
    if (!(t >= 0 && t <= last) || t != std::floor(t))
      throw usage_error(fmt::format("custom timesteps: expected whole numbers from {} down to 0, found {}", last, t));
    if (i > 0 && t >= timesteps[i - 1])
      throw usage_error(
          fmt::format("custom timesteps: expected a falling list, found {} after {}", t, timesteps[i - 1]),
          "Give them from the noisiest to the cleanest.");
  }
  return {timesteps.begin(), timesteps.end()};
}

}  // namespace unnoise
