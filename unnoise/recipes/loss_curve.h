// The loss of a run for people: loss.csv, a row a step, for spreadsheets; loss.svg, the curve with the epochs' means.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/logging/append_file.h"

namespace unnoise {

class LossCurve {
 public:
  /// Writes loss.csv anew with what log.jsonl already has (`records`; none for a new run).
  LossCurve(const fs::path& run, const std::vector<Json>& records);

  /// A record of log.jsonl. One with a "loss" is a step and becomes a row, one with an "epoch_mean_loss" is an epoch's
  /// end; others are ignored.
  void append(const Json& record);

  /// Running mean, for the progress line.
  double smoothed_loss() const { return smoothed_; }
  /// Of the steps of the last step's epoch so far.
  double epoch_mean() const { return epoch_sum_ / static_cast<double>(epoch_steps_); }

  /// Draws loss.svg: the losses, and their logarithm beside it.
  void write_plot() const;

 private:
  void count(const Json& record);

  fs::path run_;
  std::optional<AppendFile> csv_;
  std::vector<double> steps_, losses_;            ///< a point a step
  std::vector<double> epoch_ends_, epoch_means_;  ///< a point an epoch
  double smoothed_ = 0;
  int64_t epoch_ = -1;  ///< of the last step
  double epoch_sum_ = 0;
  int64_t epoch_steps_ = 0;
};

}  // namespace unnoise
