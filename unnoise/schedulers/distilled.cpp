#include "unnoise/schedulers/distilled.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

/// Luo et al. 2023, "Latent Consistency Models", section 4.3: every k-th timestep, from the first to `strength`.
std::vector<int64_t> teacher_timesteps(int64_t train, int64_t original, double strength, bool all) {
  const auto part = [&](int64_t n) { return static_cast<int64_t>(static_cast<double>(n) * strength); };
  std::vector<int64_t> t;
  if (all)
    for (int64_t i = part(train) - 1; i >= 0; --i) t.push_back(i);
  else
    for (int64_t i = part(original); i >= 1; --i) t.push_back(i * (train / original) - 1);
  return t;
}

}  // namespace

void check_distilled(std::string_view class_name, const DistilledConfig& config) {
  check_config(class_name, config);
  if (!(config.timestep_scaling > 0))
    throw usage_error(
        fmt::format("{}: timestep_scaling: expected above 0, found {}", class_name, config.timestep_scaling));
}

std::vector<int64_t> distilled_timesteps(const DistilledConfig& config, const StartOptions& options,
                                         TeacherGrid when_named) {
  const int64_t train = config.num_train_timesteps;
  const int64_t original = options.original_inference_steps.value_or(config.original_inference_steps);
  if (original < 1 || original > train)
    throw usage_error(fmt::format("original_inference_steps: expected 1 to {}, found {}", train, original));
  const double strength = options.strength.value_or(1);
  if (!(strength > 0 && strength <= 1))
    throw usage_error(fmt::format("strength: expected above 0 and at most 1, found {}", strength));

  if (options.timesteps) {
    auto t = whole_timesteps(*options.timesteps, train);
    const auto kept = static_cast<size_t>(static_cast<double>(t.size()) * strength);
    if (kept == 0) throw usage_error(fmt::format("strength: {} of {} timesteps leaves none", strength, t.size()));
    t.erase(t.begin(), t.end() - static_cast<std::ptrdiff_t>(kept));
    return t;
  }

  if (options.steps < 1)
    throw usage_error(fmt::format("number of sampling steps: expected at least 1, found {}", options.steps));
  const bool all = when_named == TeacherGrid::every_timestep && options.original_inference_steps.has_value();
  const auto teacher = teacher_timesteps(train, original, strength, all);
  const int64_t most = std::min<int64_t>(static_cast<int64_t>(teacher.size()), original);
  if (options.steps > most)
    throw usage_error(fmt::format("number of sampling steps: {} is more than the {} that original_inference_steps = {} "
                                  "and strength = {} leave",
                                  options.steps, most, original, strength),
                      "A distilled model needs 1 to 8 steps. Ask for fewer, or raise original_inference_steps.");
  std::vector<int64_t> t;
  const double stride = static_cast<double>(teacher.size()) / static_cast<double>(options.steps);
  for (int64_t i = 0; i < options.steps; ++i)
    t.push_back(teacher[static_cast<size_t>(std::floor(static_cast<double>(i) * stride))]);
  return t;
}

}  // namespace unnoise
