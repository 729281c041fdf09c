// One axis of a plot: which range it shows, where its ticks stand and what they say.
#pragma once

#include <string>
#include <vector>

namespace unnoise {

struct Tick {
  double value;
  std::string label;  ///< "" = a line without a number
};

struct Axis {
  double low = 0;
  double high = 1;
  bool logarithmic = false;
  std::vector<Tick> ticks;  ///< inside [low, high], rising

  /// 0 at low, 1 at high.
  double position(double value) const;
};

/// An axis for data in [low, high] with about `count` ticks at round numbers. With `round_out` the ends are ticks as
/// well.
Axis linear_axis(double low, double high, int count, bool round_out);

/// An axis for positive data with a factor of ten between its main ticks, or finer ones when the range is small.
Axis log_axis(double low, double high);

}  // namespace unnoise
