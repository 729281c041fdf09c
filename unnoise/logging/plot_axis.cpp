#include "unnoise/logging/plot_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace unnoise {
namespace {

/// 1, 2 or 5 times a power of ten, near range / count.
double round_step(double range, int count) {
  const double rough = range / std::max(count, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= 0.75 * rough) return factor * power;
  return 10 * power;
}

/// "0.05", "250", "20k", "1.5M": the unit follows the axis's largest value, the decimals the distance to the next tick.
std::string tick_label(double value, double step, double largest) {
  if (std::abs(value) < step / 2) value = 0;
  if (largest < 1e-4 || largest >= 1e9) return fmt::format("{:.6g}", value);
  const double unit = largest >= 1e6 ? 1e6 : largest >= 1e4 ? 1e3 : 1;
  if (unit > 1 && value == 0) return "0";
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step / unit) - 1e-9)), 0, 9);
  return fmt::format("{:.{}f}{}", value / unit, decimals, unit == 1e6 ? "M" : unit == 1e3 ? "k" : "");
}

/// A range of one value gets a width, so that it can be drawn.
void widen(double& low, double& high) {
  if (high > low) return;
  const double half = low == 0 ? 1 : std::abs(low) / 2;
  low -= half;
  high += half;
}

}  // namespace

double Axis::position(double value) const {
  if (logarithmic) return (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low));
  return (value - low) / (high - low);
}

Axis linear_axis(double low, double high, int count, bool round_out) {
  widen(low, high);
  const double step = round_step(high - low, count);
  Axis axis{low, high, false, {}};
  if (round_out) {
    axis.low = std::floor(low / step + 1e-9) * step;
    axis.high = std::ceil(high / step - 1e-9) * step;
  }
  const auto first = static_cast<int64_t>(std::ceil(axis.low / step - 1e-9));
  const auto last = static_cast<int64_t>(std::floor(axis.high / step + 1e-9));
  const double largest = std::max(std::abs(axis.low), std::abs(axis.high));
  for (int64_t i = first; i <= last; ++i) {
    const double value = static_cast<double>(i) * step;
    axis.ticks.push_back({value, tick_label(value, step, largest)});
  }
  return axis;
}

Axis log_axis(double low, double high) {
  if (high <= low) {
    low /= 2;
    high *= 2;
  }
  const double decades = std::log10(high / low);
  if (decades < 0.7) {  // less than a factor of five: round numbers at even distances read better
    Axis axis = linear_axis(low, high, 6, false);
    axis.logarithmic = true;
    return axis;
  }
  const double margin = std::pow(10.0, decades * 0.03);
  Axis axis{low / margin, high * margin, true, {}};
  const int first = static_cast<int>(std::floor(std::log10(axis.low))),
            last = static_cast<int>(std::ceil(std::log10(axis.high)));
  const int stride = std::max(1, (last - first) / 8);  // decades from label to label
  for (int power = first; power <= last; ++power) {
    for (int digit = 1; digit <= 9; ++digit) {
      const double value = digit * std::pow(10.0, power);
      if (value < axis.low || value > axis.high) continue;
      const bool labelled = digit == 1 ? (power - first) % stride == 0 : decades < 2.5 && (digit == 2 || digit == 5);
      if (labelled)
        axis.ticks.push_back({value, fmt::format("{:.6g}", value)});
      else if (stride == 1)
        axis.ticks.push_back({value, ""});
    }
  }
  return axis;
}

}  // namespace unnoise
