#include "unnoise/recipes/sweep_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/nn/allocator.h"
#include "unnoise/recipes/finish_run.h"
#include "unnoise/recipes/halving.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/step_budget.h"
#include "unnoise/recipes/train.h"
#include "unnoise/recipes/train_plan.h"

namespace unnoise {
namespace {

constexpr std::chrono::seconds kSaveEvery{5};

int64_t target_of(const SweepRun& run, double rung) {
  return std::clamp<int64_t>(std::llround(std::ceil(rung * static_cast<double>(run.steps))), 1, run.steps);
}

/// Steps of the run that are safe on disk: those of its newest checkpoint, or all.
int64_t steps_on_disk(const fs::path& folder, int64_t steps) {
  const auto checkpoints = checkpoint_steps(folder);
  if (fs::exists(folder / "model_index.json") && read_run(folder).steps == steps) return steps;
  return checkpoints.empty() ? 0 : checkpoints.back();
}

}  // namespace

SweepQueue::SweepQueue(fs::path folder, SweepState state, std::optional<double> budget_minutes,
                       const Observer& observer, std::stop_token stop)
    : folder_(std::move(folder)),
      state_(std::move(state)),
      rungs_(halving_rungs(static_cast<int64_t>(state_.runs.size()), state_.halving)),
      budget_minutes_(budget_minutes),
      observer_(observer),
      stop_(std::move(stop)) {
  save();
}

/// The recipe with the run's choice, leaving behind only what the sweep needs.
TrainOptions SweepQueue::options_of(const SweepRun& run) const {
  TrainOptions options = train_options(varied(state_.recipe, run.choice));
  options.output_dir = folder_of(run).string();
  options.save_images_epochs = options.save_model_epochs = 0;
  options.checkpoints_total_limit = 1;
  if (run.steps > 0) options.max_train_steps = run.steps;
  return options;
}

void SweepQueue::save() {
  make_folders(folder_);
  write_json(folder_ / "sweep.json", to_json(state_));
  saved_ = Clock::now();
}

void SweepQueue::count_time() {
  const auto now = Clock::now();
  const double passed = std::chrono::duration<double>(now - counted_).count();
  counted_ = now;
  const double cpu_now = cpu_seconds(), cpu_passed = cpu_now - cpu_counted_;
  cpu_counted_ = cpu_now;
  state_.seconds += passed;
  if (current_) {
    current_->seconds += passed;
    current_->cpu_seconds += cpu_passed;
  }
  if (budget_minutes_ && state_.seconds >= *budget_minutes_ * 60) budget_used_up_ = true;
  if (now - saved_ > kSaveEvery) save();
}

SweepQueue::End SweepQueue::run() {
  counted_ = Clock::now();
  cpu_counted_ = cpu_seconds();
  for (size_t rung = 0; rung < rungs_.size(); ++rung) {
    for (SweepRun& run : state_.runs) {
      if (!run.is_alive() || run.scores.size() > rung) continue;
      if (!climb(run, rung)) {
        count_time();
        save();
        return stop_.stop_requested() ? End::stopped : End::budget_used_up;
      }
    }
    if (rung + 1 < rungs_.size()) drop_the_worst(rung);
  }
  return End::done;
}

/// Takes a run to a rung; false when the queue was halted before.
bool SweepQueue::climb(SweepRun& run, size_t rung) {
  count_time();
  if (halts()) return false;
  try {
    if (run.steps == 0) run.steps = steps_in_budget(options_of(run), *state_.recipe.budget_minutes, observer_, stop_);
    if (run.steps == 0) return false;
    run.status = SweepStatus::going;
    const int64_t target = target_of(run, rungs_[rung]);
    train_to(run, target);
    if (run.step < target) return false;
    const auto found = score(run, target);
    if (!found) return false;
    run.scores.push_back(state_.highest ? -*found : *found);
    if (rung + 1 == rungs_.size()) finish(run, nullptr);
    if (stop_.stop_requested()) run.scores.pop_back();  // what finish() left undone is done when the queue goes on
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::data || !fs::exists(folder_of(run) / "log.jsonl")) throw;
    run.status = SweepStatus::failed;  // its loss or gradient was not finite
    run.error = e.message();
    run.scores.resize(rung + 1, std::nan(""));
    write_json(
        folder_of(run) / "result.json",
        to_json(RunResult{.status = "failed: " + e.message(), .seconds = run.seconds, .cpu_seconds = run.cpu_seconds}));
    observer_.warn(fmt::format("{}: {}", choice_text(run.choice), e.message()));
  }
  count_time();
  save();
  return !stop_.stop_requested();
}

/// Trains until `target` steps are made, exactly as the whole run would: stopped there, with a checkpoint to go on
/// from.
void SweepQueue::train_to(SweepRun& run, int64_t target) {
  const fs::path folder = folder_of(run);
  run.step = steps_on_disk(folder, run.steps);
  if (run.step >= target) return;
  TrainOptions options = options_of(run);
  if (run.step > 0) options.resume_from_checkpoint = "latest";
  options.overwrite_output_dir = run.step == 0;

  std::stop_source here;
  const std::stop_callback forward(stop_, [&] { here.request_stop(); });
  Observer inner;
  inner.on_log = [&](LogLevel level, const std::string& line) {
    if (level == LogLevel::warning) observer_.warn(fmt::format("{}: {}", choice_text(run.choice), line));
  };
  inner.on_progress = [&](const Progress& p) {
    if (p.stage != "train") return;
    run.step = p.done;
    count_time();
    if (halts() || (p.done >= target && target < run.steps)) here.request_stop();
    report_progress(run, p.detail);
  };
  release_cached_memory();
  reset_peak_memory();
  count_time();
  current_ = &run;
  try {
    train(options, inner, here.get_token());
  } catch (...) {
    current_ = nullptr;
    throw;
  }
  count_time();
  current_ = nullptr;
  run.peak_memory_bytes = std::max(run.peak_memory_bytes, memory_use().peak);
}

/// The number that the sweep ranks by; nothing when stopped meanwhile.
std::optional<double> SweepQueue::score(SweepRun& run, int64_t target) {
  const fs::path folder = folder_of(run);
  const fs::path weights = target == run.steps ? folder : folder / fmt::format("checkpoint-{}", target);
  if (state_.held_out_images > 0) {
    const auto held_out = held_out_of(options_of(run), weights, state_.held_out_images, {}, stop_);
    if (stop_.stop_requested()) return std::nullopt;
    run.held_out = held_out ? to_json(*held_out) : Json();
    if (held_out && state_.rank_by == "held_out") return held_out->mean;
  }
  const RunSummary summary = read_run(folder);
  const auto number = summary.number(state_.rank_by);
  if (number) return *number;
  std::string known;
  for (const auto& [name, series] : summary.series) known += (known.empty() ? "" : ", ") + name;
  throw usage_error(fmt::format("--rank-by {}: the runs have no such number", state_.rank_by),
                    fmt::format("They have held_out, {}.", known));
}

void SweepQueue::drop_the_worst(size_t rung) {
  std::vector<double> scores;
  std::vector<SweepRun*> alive;
  for (SweepRun& run : state_.runs) {
    if (run.scores.size() != rung + 1 || !run.is_alive()) continue;
    alive.push_back(&run);
    scores.push_back(run.scores[rung]);
  }
  // How many go on is decided by the whole grid, so that failures make room for others and resuming changes nothing.
  auto keep = static_cast<int64_t>(state_.runs.size());
  for (size_t i = 0; i <= rung; ++i) keep = survivors(keep, state_.halving);
  const auto kept = lowest(scores, keep);
  for (size_t i = 0; i < alive.size(); ++i) {
    if (kept[i] || halts()) continue;
    const fs::path checkpoint = folder_of(*alive[i]) / fmt::format("checkpoint-{}", alive[i]->step);
    finish(*alive[i], &checkpoint);
  }
  save();
}

/// The end of a run: at its last step, or at a checkpoint when others are better.
void SweepQueue::finish(SweepRun& run, const fs::path* checkpoint) {
  Recipe recipe = varied(state_.recipe, run.choice);
  recipe.train["max_train_steps"] = run.steps;
  recipe.name = fmt::format("{} {}", state_.recipe.name, choice_text(run.choice));
  if (checkpoint) {
    recipe.evaluate = Json::object();
    save_model_of_checkpoint(options_of(run), *checkpoint, folder_of(run));
  }
  const std::string status =
      checkpoint ? fmt::format("stopped at step {} of {}: others were better", run.step, run.steps) : "done";
  finish_run(recipe,
             {.status = status,
              .seconds = run.seconds,
              .cpu_seconds = run.cpu_seconds,
              .peak_memory_bytes = run.peak_memory_bytes,
              .held_out = held_out_from_json(run.held_out)},
             folder_of(run), {}, stop_);
  if (stop_.stop_requested()) return;
  run.status = checkpoint ? SweepStatus::stopped : SweepStatus::done;
  count_time();
  save();
}

int64_t SweepQueue::steps_made() const {
  int64_t made = 0;
  for (const SweepRun& run : state_.runs) made += run.step;
  return made;
}

/// If all runs are as long as the longest known.
int64_t SweepQueue::steps_planned() const {
  int64_t longest = 0;
  for (const SweepRun& run : state_.runs) longest = std::max(longest, run.steps);
  double planned = 0, before = 0;
  auto alive = static_cast<int64_t>(state_.runs.size());
  for (const double rung : rungs_) {
    planned += (rung - before) * static_cast<double>(alive * longest);
    before = rung;
    alive = survivors(alive, state_.halving);
  }
  return std::max(std::llround(planned), static_cast<long long>(steps_made()));
}

void SweepQueue::report_progress(const SweepRun& run, const std::string& detail) const {
  const int64_t made = steps_made(), planned = steps_planned();
  double left = made > 0 ? state_.seconds / static_cast<double>(made) * static_cast<double>(planned - made) : -1;
  if (budget_minutes_) left = std::min(left, *budget_minutes_ * 60 - state_.seconds);
  observer_.progress(
      {.stage = "sweep",
       .done = made,
       .total = planned,
       .detail = fmt::format("run {}/{}  {}  {}", run.folder, state_.runs.size(), choice_text(run.choice),
                             detail.substr(std::min(detail.size(), detail.find("loss")))),
       .seconds_left = left});
}

}  // namespace unnoise
