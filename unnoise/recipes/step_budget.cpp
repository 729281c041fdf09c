#include "unnoise/recipes/step_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/train.h"

namespace unnoise {
namespace {

constexpr int64_t kTimedSteps = 8, kUntimedSteps = 3;

/// The median of the steps after those that warm caches up.
double seconds_a_step(const std::vector<double>& at) {
  std::vector<double> durations;
  for (size_t i = 1; i < at.size(); ++i)
    if (static_cast<int64_t>(i) >= kUntimedSteps || i + 1 == at.size()) durations.push_back(at[i] - at[i - 1]);
  std::nth_element(durations.begin(), durations.begin() + static_cast<int64_t>(durations.size() / 2), durations.end());
  return durations[durations.size() / 2];
}

}  // namespace

int64_t steps_in_budget(const TrainOptions& options, double minutes, const Observer& observer, std::stop_token stop) {
  if (!(minutes > 0)) throw usage_error(fmt::format("--budget-minutes: expected above 0, found {}", minutes));
  TrainOptions timed = options;
  const fs::path folder = fs::path(options.output_dir) / ".unfinished-timing";  // such a name is safe to delete
  timed.output_dir = folder.string();
  timed.overwrite_output_dir = true;
  timed.resume_from_checkpoint.reset();
  timed.max_train_steps = kTimedSteps;
  timed.save_images_epochs = timed.save_model_epochs = timed.checkpointing_steps = 0;

  const auto start = std::chrono::steady_clock::now();
  const auto now = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  std::vector<double> at;
  Observer clock;
  clock.on_progress = [&](const Progress& p) {
    if (p.stage != "train") return;
    at.push_back(now());
    observer.progress({.stage = "time steps", .done = p.done, .total = p.total});
  };
  train(timed, clock, stop);
  std::error_code ec;
  fs::remove_all(folder, ec);
  if (stop.stop_requested()) return 0;

  const double seconds = seconds_a_step(at);
  const auto steps = static_cast<int64_t>(minutes * 60 / seconds);
  if (steps < 1)
    throw usage_error(
        fmt::format("a budget of {:g} minutes is too small for one step, which takes {:.2g} s here", minutes, seconds),
        fmt::format("Give at least {:.2g} minutes, or a smaller network, resolution or batch.",
                    std::max(1e-4, seconds / 60 * 1.05)));
  observer.info(fmt::format("budget   {:g} minutes are {} steps of {:.3g} s", minutes, human_count(steps), seconds));
  return steps;
}

}  // namespace unnoise
