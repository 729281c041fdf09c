// The worker of a sweep: takes its runs from rung to rung and keeps sweep.json true.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/run_folder.h"
#include "unnoise/recipes/sweep_state.h"

namespace unnoise {

class SweepQueue {
 public:
  enum class End { done, stopped, budget_used_up };

  SweepQueue(fs::path folder, SweepState state, std::optional<double> budget_minutes, const Observer& observer,
             std::stop_token stop);

  End run();
  const SweepState& state() const { return state_; }

 private:
  using Clock = std::chrono::steady_clock;

  fs::path folder_of(const SweepRun& run) const { return folder_ / "runs" / run.folder; }
  TrainOptions options_of(const SweepRun& run) const;
  bool halts() const { return stop_.stop_requested() || budget_used_up_; }
  void save();
  void count_time();
  bool climb(SweepRun& run, size_t rung);
  void train_to(SweepRun& run, int64_t target);
  std::optional<double> score(SweepRun& run, int64_t target);
  void drop_the_worst(size_t rung);
  void finish(SweepRun& run, const fs::path* checkpoint);
  void report_progress(const SweepRun& run, const std::string& detail) const;
  int64_t steps_made() const;
  int64_t steps_planned() const;

  const fs::path folder_;
  SweepState state_;
  const std::vector<double> rungs_;
  const std::optional<double> budget_minutes_;
  const Observer& observer_;
  const std::stop_token stop_;
  bool budget_used_up_ = false;
  SweepRun* current_ = nullptr;  ///< whose training time it is
  Clock::time_point counted_ = Clock::now();
  double cpu_counted_ = 0;
  Clock::time_point saved_ = Clock::now();
};

}  // namespace unnoise
