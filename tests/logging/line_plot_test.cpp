#include "unnoise/logging/line_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "unnoise/core/error.h"
#include "unnoise/logging/plot_axis.h"

namespace unnoise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> out;
  for (const Tick& tick : axis.ticks)
    if (!tick.label.empty()) out.push_back(tick.label);
  return out;
}

LinePlot loss_plot(size_t steps) {
  Curve loss{"loss", {}, {}, 0.95, ""};
  for (size_t i = 1; i <= steps; ++i) {
    loss.x.push_back(static_cast<double>(i));
    loss.y.push_back(0.03 + std::exp(-static_cast<double>(i) / 50) + 0.01 * std::sin(static_cast<double>(i * i)));
  }
  return {"loss", "step", "loss", {loss}};
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

TEST(PlotAxis, PutsLinearTicksAtRoundNumbers) {
  EXPECT_THAT(labels(linear_axis(0, 1000, 5, false)), ElementsAre("0", "200", "400", "600", "800", "1000"));
  EXPECT_THAT(labels(linear_axis(0, 0.093, 5, true)), ElementsAre("0.00", "0.02", "0.04", "0.06", "0.08", "0.10"));
  EXPECT_THAT(labels(linear_axis(0, 40000, 4, false)), ElementsAre("0", "10k", "20k", "30k", "40k"));
}

TEST(PlotAxis, PutsLogTicksAtDecadesAndTheirParts) {
  EXPECT_THAT(labels(log_axis(0.02, 1)), ElementsAre("0.02", "0.05", "0.1", "0.2", "0.5", "1"));
  EXPECT_THAT(labels(log_axis(1e-4, 1)), ElementsAre("0.0001", "0.001", "0.01", "0.1", "1"));
  EXPECT_DOUBLE_EQ(log_axis(0.01, 1).position(0.1), 0.5);
}

TEST(LinePlot, SmoothsAsTensorBoardDoes) {
  // By hand with w = 0.5: weights 1/2, 1/4, ... from the newest back, divided by their sum.
  const auto mean = smoothed({4, 1, 1}, 0.5);
  EXPECT_DOUBLE_EQ(mean[0], 4);
  EXPECT_DOUBLE_EQ(mean[1], (0.25 * 4 + 0.5 * 1) / 0.75);
  EXPECT_DOUBLE_EQ(mean[2], (0.125 * 4 + 0.25 + 0.5) / 0.875);
}

TEST(LinePlot, DrawsRawAndSmoothedLinesWithLegendAndLabels) {
  const std::string svg = to_svg(loss_plot(500));
  EXPECT_EQ(count(svg, "<path"), 2u);
  EXPECT_THAT(svg, HasSubstr(">loss, smoothed</text>"));
  EXPECT_THAT(svg, HasSubstr(">step</text>"));
  EXPECT_THAT(svg, HasSubstr("width=\"800\" height=\"400\""));
}

TEST(LinePlot, SizeDoesNotGrowWithTheNumberOfPoints) {
  // At most four points in each of 1424 half-pixel columns of two lines, 12 bytes each.
  EXPECT_LT(to_svg(loss_plot(300000)).size(), 2u * 1424 * 4 * 12 + 10000);
}

TEST(LinePlot, SkipsWhatCannotBeDrawn) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const bool log_y : {false, true}) {
    LinePlot plot{"t", "x", "y", {{"a", {1, 2, 3, 4, 5}, {1, nan, 0.5, -inf, 0.25}, 0.5, ""}}, log_y};
    const std::string svg = to_svg(plot);
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
    EXPECT_EQ(count(svg, "<path"), 2u);
  }
  const std::string log = to_svg({"t", "x", "y", {{"a", {1, 2, 3}, {0, -1, 1}}}, true});
  EXPECT_EQ(count(log, "<circle"), 1u);
}

TEST(LinePlot, WorksWithOnePointAndWithNone) {
  EXPECT_EQ(count(to_svg({"t", "x", "y", {{"a", {7}, {0.5}, 0.9, ""}}}), "<circle"), 2u);
  EXPECT_EQ(count(to_svg({"t", "x", "y", {{"a", {7}, {0}}}}), "<circle"), 1u);
  EXPECT_EQ(count(to_svg({"t", "x", "y", {{"a", {0}, {0.5}}}, true}), "<circle"), 1u);
  EXPECT_THAT(to_svg({"t", "x", "y", {}}), HasSubstr("nothing to show yet"));
}

TEST(LinePlot, EscapesText) {
  EXPECT_THAT(to_svg({"a < b & \"c\"", "x", "y", {}}), HasSubstr("a &lt; b &amp; &quot;c&quot;"));
}

TEST(LinePlot, DashesAndDotsCurves) {
  const std::string svg =
      to_svg({"t", "x", "y", {{"a", {1, 2, 3}, {1, 2, 3}, 0, "", true, true}, {"b", {1, 2}, {3, 1}}}});
  EXPECT_EQ(count(svg, "stroke-dasharray"), 2u);  // the curve and its swatch
  EXPECT_EQ(count(svg, "<circle"), 3u);
}

TEST(PlotSheet, PutsPanelsIntoRowsUnderOneLegend) {
  LinePlot panel = loss_plot(5);
  panel.width = 300;
  panel.height = 200;
  panel.legend = false;
  const PlotSheet sheet{
      "all", {{"one & two", plot_color(0), true}, {"three", plot_color(1)}}, {panel, panel, panel}, 2};
  const std::string svg = to_svg(sheet);
  EXPECT_THAT(svg, HasSubstr("width=\"600\" height=\"456\""));  // title and legend, two rows of 200
  for (const char* corner : {"translate(0.0 56.0)", "translate(300.0 56.0)", "translate(0.0 256.0)"})
    EXPECT_EQ(count(svg, corner), 1u) << corner;
  EXPECT_EQ(count(svg, ">one &amp; two</text>"), 1u);
  EXPECT_EQ(count(svg, "<path"), 6u);
  EXPECT_THAT(svg, Not(HasSubstr("smoothed")));
  EXPECT_THROW(to_svg(PlotSheet{"none", {}, {}, 2}), Error);
}

TEST(PlotSheet, ALegendThatDoesNotFitOneRowTakesMore) {
  PlotSheet sheet{"all", {}, {loss_plot(5)}, 1};
  for (int i = 0; i < 7; ++i)
    sheet.legend.push_back({"a schedule with a long name", plot_color(static_cast<size_t>(i))});
  EXPECT_THAT(to_svg(sheet), HasSubstr("height=\"496\""));  // 36, three rows of 20, the panel's 400
}

TEST(LinePlot, RejectsCurvesOfUnequalLength) { EXPECT_THROW(to_svg({"t", "x", "y", {{"a", {1, 2}, {1}}}}), Error); }

}  // namespace
}  // namespace unnoise
