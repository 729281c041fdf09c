// The learning-rate range test: train while the rate grows by a constant factor a step, and look at the loss (Smith
// 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; on a logarithmic axis as is usual since).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace unnoise {

/// The rates of a test of `steps` >= 2 steps: low, ..., high, each the same factor above the one before.
std::vector<double> lr_ladder(double low, double high, int64_t steps);

struct LrFinding {
  std::vector<double> smoothed;          ///< the losses that the judgement is made on
  std::optional<double> suggested;       ///< none when the loss never fell
  std::optional<double> steepest;        ///< where the loss falls fastest
  std::optional<double> diverges_above;  ///< where the loss turned up for good; none when it did not within the test
};

/// rates rising, losses of the same length, measured after the step at that rate. Suggested is the lower of two usual
/// readings: where the loss falls fastest a decade, and a fifth of the rate at which it was lowest.
LrFinding judge_lr_range(const std::vector<double>& rates, const std::vector<double>& losses);

/// Whether a test may stop: the loss is far above its lowest, or not finite.
bool lr_range_is_over(const std::vector<double>& losses);

}  // namespace unnoise
