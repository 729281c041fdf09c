#include "unnoise/logging/line_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/logging/plot_axis.h"

namespace unnoise {
namespace {

// Okabe and Ito's colours for all readers, blue first; their yellow is too light for lines on white.
constexpr std::array<std::string_view, kPlotColors> kPalette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                                "#e69f00", "#56b4e9", "#000000"};
constexpr double kCharacterWidth = 7.2;  // a wide character of the 12 px font, on average
constexpr double kSwatchWidth = 24;
constexpr double kLegendRow = 20;
constexpr double kTitleSize = 16, kPanelTitleSize = 13;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (static_cast<unsigned char>(c) >= 0x20)
      out += c;
  }
  return out;
}

struct Point {
  double x, y;
};

/// The points of a curve that can be drawn.
std::vector<Point> drawable(const std::vector<double>& x, const std::vector<double>& y, bool log_y) {
  std::vector<Point> points;
  for (size_t i = 0; i < x.size(); ++i)
    if (std::isfinite(x[i]) && std::isfinite(y[i]) && (!log_y || y[i] > 0)) points.push_back({x[i], y[i]});
  return points;
}

/// One line of the picture: a curve's values, or their running mean.
struct Line {
  std::string name;
  std::string color;
  double width = 2, opacity = 1;
  std::vector<Point> points;
  bool dashed = false, dots = false;
};

std::vector<Line> lines_of(const LinePlot& plot) {
  std::vector<Line> lines;
  for (size_t i = 0; i < plot.curves.size(); ++i) {
    const Curve& curve = plot.curves[i];
    if (curve.x.size() != curve.y.size())
      throw usage_error(
          fmt::format("plot: curve \"{}\" has {} x but {} y", curve.name, curve.x.size(), curve.y.size()));
    const std::string color = curve.color.empty() ? plot_color(i) : curve.color;
    const auto points = drawable(curve.x, curve.y, plot.log_y);
    if (curve.smoothing <= 0) {
      lines.push_back({curve.name, color, 2, 1, points, curve.dashed, curve.dots});
    } else {
      lines.push_back({curve.name, color, 1, 0.32, points});
      lines.push_back({curve.name + ", smoothed", color, 2.25, 1,
                       drawable(curve.x, smoothed(curve.y, curve.smoothing), plot.log_y), curve.dashed, curve.dots});
    }
  }
  return lines;
}

/// The rectangle in which the curves are drawn, and its axes.
struct Frame {
  double left, top, right, bottom;
  Axis x, y;

  double px(double value) const { return left + x.position(value) * (right - left); }
  double py(double value) const { return bottom - y.position(value) * (bottom - top); }
};

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

void choose_axes(Frame& frame, const std::vector<Line>& lines, bool log_y) {
  Range x, y;
  for (const Line& line : lines)
    for (const Point& point : line.points) {
      x.add(point.x);
      y.add(point.y);
    }
  if (x.low > x.high) x = {0, 1}, y = log_y ? Range{0.1, 1} : Range{0, 1};
  if (x.low > 0 && x.low <= 0.1 * x.high) x.low = 0;            // steps that start at 1 or 10 are counted from 0
  if (!log_y && y.low > 0 && y.low <= 0.5 * y.high) y.low = 0;  // show the true size where that costs little room
  frame.x = linear_axis(x.low, x.high, static_cast<int>((frame.right - frame.left) / 90), false);
  frame.y = log_y ? log_axis(y.low, y.high)
                  : linear_axis(y.low, y.high, static_cast<int>((frame.bottom - frame.top) / 50), true);
}

std::string axes_svg(const Frame& frame, const LinePlot& plot) {
  std::string out;
  const auto tick_line = [&](double x1, double y1, double x2, double y2, std::string_view color) {
    out += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2,
                       y2, color);
  };
  for (const Tick& tick : frame.y.ticks) {
    const double y = frame.py(tick.value);
    tick_line(frame.left, y, frame.right, y, tick.label.empty() ? "#f3f3f3" : "#e2e2e2");
    if (!tick.label.empty())
      out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", frame.left - 8, y + 4,
                         tick.label);
  }
  tick_line(frame.left, frame.bottom, frame.right, frame.bottom, "#888888");
  for (const Tick& tick : frame.x.ticks) {
    const double x = frame.px(tick.value);
    tick_line(x, frame.bottom, x, frame.bottom + 5, "#888888");
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", x, frame.bottom + 19,
                       tick.label);
  }
  out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                     (frame.left + frame.right) / 2, frame.bottom + 39, escaped(plot.x_label));
  out += fmt::format("<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                     (frame.top + frame.bottom) / 2, escaped(plot.y_label));
  return out;
}

std::string dot_svg(const Frame& frame, const Line& line, Point point, double radius) {
  return fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\" opacity=\"{}\"/>\n", frame.px(point.x),
                     frame.py(point.y), radius, escaped(line.color), line.opacity);
}

std::string dash_svg(bool dashed) { return dashed ? " stroke-dasharray=\"6 4\"" : ""; }

std::string line_svg(const Frame& frame, const Line& line) {
  if (line.points.empty()) return {};
  if (line.points.size() == 1) return dot_svg(frame, line, line.points[0], 3.5);
  std::string path;
  const auto emit = [&](double x, double y) { path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " ", x, y); };
  // Points of one half-pixel column are drawn as: first, lowest, highest, last.
  for (size_t i = 0; i < line.points.size();) {
    const auto column = [&](size_t at) { return std::floor(frame.px(line.points[at].x) * 2); };
    size_t end = i;
    Range y;
    for (; end < line.points.size() && column(end) == column(i); ++end) y.add(frame.py(line.points[end].y));
    const double first_x = frame.px(line.points[i].x), last_x = frame.px(line.points[end - 1].x);
    emit(first_x, frame.py(line.points[i].y));
    if (end - i > 3) {
      emit(first_x, y.low);
      emit(first_x, y.high);
    } else if (end - i == 3) {
      emit(frame.px(line.points[i + 1].x), frame.py(line.points[i + 1].y));
    }
    if (end - i > 1) emit(last_x, frame.py(line.points[end - 1].y));
    i = end;
  }
  std::string out = fmt::format(
      "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-opacity=\"{}\" "
      "stroke-linejoin=\"round\"{}/>\n",
      path, escaped(line.color), line.width, line.opacity, dash_svg(line.dashed));
  if (line.dots)
    for (const Point& point : line.points) out += dot_svg(frame, line, point, 2.5);
  return out;
}

/// Characters, not bytes.
size_t text_length(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

double legend_width(const Line& line) {
  return kSwatchWidth + 6 + kCharacterWidth * static_cast<double>(text_length(line.name)) + 16;
}

double legend_width(const std::vector<Line>& lines) {
  double width = 0;
  for (const Line& line : lines) width += legend_width(line);
  return width;
}

/// As many lines a row as fit between `left` and `right`; at least one.
std::vector<std::vector<Line>> legend_rows(const std::vector<Line>& lines, double left, double right) {
  std::vector<std::vector<Line>> rows;
  for (const Line& line : lines) {
    if (rows.empty() || left + legend_width(rows.back()) + legend_width(line) > right + 16) rows.emplace_back();
    rows.back().push_back(line);
    rows.back().back().points.clear();
  }
  return rows;
}

std::string legend_svg(const std::vector<Line>& lines, double x, double y) {
  std::string out;
  for (const Line& line : lines) {
    out += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{2:.1f}\" x2=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\" stroke-width=\"{4}\" "
        "stroke-opacity=\"{5}\"{9}/>\n<text x=\"{6:.1f}\" y=\"{7:.1f}\">{8}</text>\n",
        x, x + kSwatchWidth, y - 4, escaped(line.color), line.width + 0.5, line.opacity, x + kSwatchWidth + 6, y,
        escaped(line.name), dash_svg(line.dashed));
    x += legend_width(line);
  }
  return out;
}

/// Rows of a legend, the first at `y`.
std::string legend_svg(const std::vector<std::vector<Line>>& rows, double x, double y) {
  std::string out;
  for (const auto& row : rows) {
    out += legend_svg(row, x, y);
    y += kLegendRow;
  }
  return out;
}

std::string title_svg(std::string_view title, double x, double y, double size) {
  return fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" font-weight=\"600\" fill=\"#222222\">{}</text>\n", x, y, size,
      escaped(title));
}

/// A plot from (0, 0) to (width, height), its legend beside the title or, where there is no room, below it.
std::string plot_svg(const LinePlot& plot, double title_size) {
  const auto lines = lines_of(plot);
  const auto width = static_cast<double>(plot.width), height = static_cast<double>(plot.height);
  Frame frame{64, 44, width - 24, height - 52, {}, {}};
  std::string out = title_svg(plot.title, frame.left, 26, title_size);
  if (plot.legend) {
    const double title_width = 0.5625 * title_size * static_cast<double>(text_length(plot.title)) + 24;
    if (frame.left + title_width + legend_width(lines) > width) {
      const auto rows = legend_rows(lines, frame.left, frame.right);
      out += legend_svg(rows, frame.left, 48);
      frame.top += 2 + kLegendRow * static_cast<double>(rows.size());
    } else {
      out += legend_svg(lines, frame.right + 16 - legend_width(lines), 25);
    }
  }
  choose_axes(frame, lines, plot.log_y);
  out += axes_svg(frame, plot);
  for (const Line& line : lines) out += line_svg(frame, line);
  const bool empty = std::all_of(lines.begin(), lines.end(), [](const Line& line) { return line.points.empty(); });
  if (empty)
    out += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" fill=\"#888888\">nothing to show yet</text>\n",
        (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2);
  return out;
}

std::string document_svg(std::string_view title, double width, double height, const std::string& body) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" role=\"img\">\n"
      "<title>{2}</title>\n<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n"
      "<g font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif\" font-size=\"12\" "
      "fill=\"#444444\">\n{3}</g>\n</svg>\n",
      width, height, escaped(title), body);
}

}  // namespace

std::vector<double> smoothed(const std::vector<double>& y, double weight) {
  std::vector<double> out;
  out.reserve(y.size());
  double mean = 0, correction = 1;  // correction = w^n
  for (const double value : y) {
    if (!std::isfinite(value)) {
      out.push_back(std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    mean = weight * mean + (1 - weight) * value;
    correction *= weight;
    out.push_back(mean / (1 - correction));
  }
  return out;
}

std::string plot_color(size_t i) { return std::string(kPalette[i % kPalette.size()]); }

std::string to_svg(const LinePlot& plot) {
  return document_svg(plot.title, static_cast<double>(plot.width), static_cast<double>(plot.height),
                      plot_svg(plot, kTitleSize));
}

std::string to_svg(const PlotSheet& sheet) {
  if (sheet.panels.empty() || sheet.columns < 1)
    throw usage_error("plot: expected at least one panel and one column on the sheet");
  constexpr double kLeft = 64;
  double width = 0, row_width = 0;
  for (size_t i = 0; i < sheet.panels.size(); ++i) {
    if (static_cast<int64_t>(i) % sheet.columns == 0) row_width = 0;
    row_width += static_cast<double>(sheet.panels[i].width);
    width = std::max(width, row_width);
  }
  std::vector<Line> entries;
  for (const auto& [name, color, dashed] : sheet.legend) entries.push_back({name, color, 2, 1, {}, dashed});
  const auto rows = legend_rows(entries, kLeft, width - 24);
  std::string body = title_svg(sheet.title, kLeft, 30, kTitleSize) + legend_svg(rows, kLeft, 56);

  double x = 0, y = 36 + kLegendRow * static_cast<double>(rows.size()), row_height = 0;
  for (size_t i = 0; i < sheet.panels.size(); ++i) {
    const LinePlot& panel = sheet.panels[i];
    if (i > 0 && static_cast<int64_t>(i) % sheet.columns == 0) {
      x = 0;
      y += row_height;
      row_height = 0;
    }
    body += fmt::format("<g transform=\"translate({:.1f} {:.1f})\">\n{}</g>\n", x, y, plot_svg(panel, kPanelTitleSize));
    x += static_cast<double>(panel.width);
    row_height = std::max(row_height, static_cast<double>(panel.height));
  }
  return document_svg(sheet.title, width, y + row_height, body);
}

}  // namespace unnoise
