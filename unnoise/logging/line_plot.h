// Curves as an SVG picture, one plot or several on a sheet: the loss of a run, the noise of a schedule, readable in a
// browser and in a README.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace unnoise {

/// Points (x[i], y[i]) in order of x. Those that are not finite (and on a logarithmic axis those not above 0) are
/// skipped.
struct Curve {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;
  /// Weight of the past in [0,1) for a running mean as TensorBoard's slider draws it. Above 0 the values themselves are
  /// drawn light and the mean over them.
  double smoothing = 0;
  std::string color = {};  ///< CSS colour; "" = the next of a palette that colour-blind readers can tell apart
  bool dashed = false;
  bool dots = false;  ///< a dot at each point: for points that are few
};

struct LinePlot {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<Curve> curves;
  bool log_y = false;
  int64_t width = 800;
  int64_t height = 400;
  bool legend = true;  ///< say which curve is which
};

struct LegendEntry {
  std::string name;
  std::string color;
  bool dashed = false;
};

/// Plots in rows under one title, with one legend for them all; each panel keeps its size, those of a row should share
/// their height.
struct PlotSheet {
  std::string title;
  std::vector<LegendEntry> legend;
  std::vector<LinePlot> panels;
  int64_t columns = 2;
};

/// A whole SVG document. Its size does not grow with the number of points: many points in one pixel column become its
/// extremes. Throws Error::usage when a curve's x and y differ in length.
std::string to_svg(const LinePlot& plot);
/// Error::usage when there is no panel or no column, too.
std::string to_svg(const PlotSheet& sheet);

/// Number `i` of the colours that curves without one get; after the last the first comes again.
std::string plot_color(size_t i);
inline constexpr size_t kPlotColors = 7;  ///< how many differ

/// Exponential running mean of the finite values, corrected for its start: m_n = (Σ w^(n-i) (1-w) y_i) / (1 - w^n).
/// NaN stays NaN and leaves the mean as it was.
std::vector<double> smoothed(const std::vector<double>& y, double weight);

}  // namespace unnoise
