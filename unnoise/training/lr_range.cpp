#include "unnoise/training/lr_range.h"

#include <algorithm>
#include <cmath>

namespace unnoise {
namespace {

constexpr double kMemory = 0.8;       // of the running mean
constexpr double kDiverged = 4.0;     // times the lowest loss: the test is over
constexpr double kTurnedUp = 1.5;     // times the lowest: the rate is too high
constexpr double kMustFall = 0.95;    // of the first loss, else nothing was learned
constexpr double kBelowLowest = 0.2;  // of the rate at which the loss was lowest

std::vector<double> running_mean(const std::vector<double>& values) {
  std::vector<double> means;
  double mean = 0, weight = 0;
  for (const double value : values) {
    mean = kMemory * mean + (1 - kMemory) * value;
    weight = kMemory * weight + (1 - kMemory);
    means.push_back(mean / weight);
  }
  return means;
}

}  // namespace

std::vector<double> lr_ladder(double low, double high, int64_t steps) {
  std::vector<double> rates;
  for (int64_t i = 0; i < steps; ++i)
    rates.push_back(low * std::pow(high / low, static_cast<double>(i) / static_cast<double>(steps - 1)));
  return rates;
}

bool lr_range_is_over(const std::vector<double>& losses) {
  if (losses.empty()) return false;
  if (!std::isfinite(losses.back())) return true;
  const auto means = running_mean(losses);
  return means.back() > kDiverged * *std::min_element(means.begin(), means.end());
}

LrFinding judge_lr_range(const std::vector<double>& rates, const std::vector<double>& losses) {
  LrFinding found;
  std::vector<double> finite(
      losses.begin(), std::find_if(losses.begin(), losses.end(), [](double loss) { return !std::isfinite(loss); }));
  found.smoothed = running_mean(finite);
  const auto& s = found.smoothed;
  if (s.size() < 3) return found;
  const auto lowest = static_cast<size_t>(std::min_element(s.begin(), s.end()) - s.begin());
  for (size_t i = lowest; i < s.size() && !found.diverges_above; ++i)
    if (s[i] > kTurnedUp * s[lowest]) found.diverges_above = rates[i];
  if (!found.diverges_above && finite.size() < losses.size()) found.diverges_above = rates[finite.size()];
  if (s[lowest] > kMustFall * s.front()) return found;

  // Slope of the loss over log10(rate), over a window of three points on either side against the noise.
  double best = 0;
  const auto n = static_cast<int64_t>(lowest);
  for (int64_t i = 0; i <= n; ++i) {
    const auto a = static_cast<size_t>(std::max<int64_t>(0, i - 3)), b = static_cast<size_t>(std::min(n, i + 3));
    if (a == b) continue;
    const double slope = (s[b] - s[a]) / std::log10(rates[b] / rates[a]);
    if (slope >= best) continue;
    best = slope;
    found.steepest = rates[static_cast<size_t>(i)];
  }
  if (found.steepest) found.suggested = std::min(*found.steepest, kBelowLowest * rates[lowest]);
  return found;
}

}  // namespace unnoise
