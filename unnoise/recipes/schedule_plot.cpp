#include "unnoise/recipes/schedule_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr int64_t kPanelWidth = 520, kPanelHeight = 320;
constexpr size_t kMostDots = 60;  // more dots than that are a thick line
constexpr double kWideRange = 100;

std::string_view title_of(ScheduleCurve curve) {
  switch (curve) {
    case ScheduleCurve::log_snr:
      return "log-SNR = ln(abar / (1-abar)): signal to noise";
    case ScheduleCurve::sigmas:
      return "sigma: noise on a picture of its own size";
    case ScheduleCurve::alphas_cumprod:
      return "abar: share of the picture in the variance";
    case ScheduleCurve::betas:
      return "beta: noise added at a timestep";
    default:
      return "";
  }
}

std::string_view axis_of(ScheduleCurve curve) {
  switch (curve) {
    case ScheduleCurve::log_snr:
      return "log-SNR";
    case ScheduleCurve::sigmas:
      return "sigma";
    case ScheduleCurve::alphas_cumprod:
      return "abar";
    case ScheduleCurve::betas:
      return "beta";
    default:
      return "";
  }
}

/// 0, 1, 2 ... of training timesteps; 1, 2, 3 ... of calls.
std::vector<double> x_of(const ScheduleTable& table) {
  std::vector<double> x;
  for (size_t i = 0; i < table.points.size(); ++i)
    x.push_back(table.steps ? static_cast<double>(i + 1) : table.points[i].timestep);
  return x;
}

Curve curve_of(const ScheduleTable& table, std::string name, std::vector<double> y, size_t color) {
  return {.name = std::move(name),
          .x = x_of(table),
          .y = std::move(y),
          .color = plot_color(color),
          .dots = table.steps && table.points.size() <= kMostDots};
}

LinePlot empty_panel(std::string title, bool is_run, std::string_view y_label) {
  return {.title = std::move(title),
          .x_label = is_run ? "call of the network" : "training timestep t",
          .y_label = std::string(y_label),
          .curves = {},
          .width = kPanelWidth,
          .height = kPanelHeight,
          .legend = false};
}

/// How much of x_t is picture and how much is noise: alone in two colours, else a colour a schedule.
LinePlot weights_panel(const std::vector<ScheduleTable>& tables, bool alpha, bool noise) {
  const bool alone = tables.size() == 1;
  const std::string_view title = alone            ? "weight in x_t"
                                 : alpha && noise ? "weight in x_t of picture (solid) and noise (dashed)"
                                 : alpha          ? "sqrt(abar): weight of the picture in x_t"
                                                  : "sqrt(1-abar): weight of the noise in x_t";
  LinePlot panel = empty_panel(std::string(title), tables[0].steps.has_value(), "weight");
  panel.legend = alone;
  for (size_t i = 0; i < tables.size(); ++i) {
    if (alpha)
      panel.curves.push_back(
          curve_of(tables[i], "picture: sqrt(abar)", tables[i].values(ScheduleCurve::sqrt_alphas_cumprod), i));
    if (!noise) continue;
    panel.curves.push_back(curve_of(tables[i], "noise: sqrt(1-abar)",
                                    tables[i].values(ScheduleCurve::sqrt_one_minus_alphas_cumprod), alone ? 1 : i));
    panel.curves.back().dashed = !alone && alpha;
  }
  return panel;
}

bool spans_widely(const LinePlot& panel) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (const Curve& curve : panel.curves)
    for (const double y : curve.y) {
      if (!(y > 0) || std::isinf(y)) continue;
      least = std::min(least, y);
      most = std::max(most, y);
    }
  return most > kWideRange * least;
}

LinePlot curve_panel(const std::vector<ScheduleTable>& tables, ScheduleCurve curve, std::optional<bool> log_scale) {
  LinePlot panel = empty_panel(std::string(title_of(curve)), tables[0].steps.has_value(), axis_of(curve));
  for (size_t i = 0; i < tables.size(); ++i)
    panel.curves.push_back(curve_of(tables[i], tables[i].name, tables[i].values(curve), i));
  if (curve == ScheduleCurve::sigmas)
    panel.log_y = log_scale.value_or(spans_widely(panel));
  else if (curve == ScheduleCurve::betas)
    panel.log_y = log_scale.value_or(false);
  return panel;
}

LinePlot timesteps_panel(const std::vector<ScheduleTable>& tables) {
  LinePlot panel = empty_panel("the timestep that the network is told", true, "timestep");
  for (size_t i = 0; i < tables.size(); ++i)
    panel.curves.push_back(curve_of(tables[i], tables[i].name, tables[i].timesteps(), i));
  return panel;
}

std::string title_of(const std::vector<ScheduleTable>& tables) {
  const ScheduleTable& first = tables[0];
  if (tables.size() > 1) return first.steps ? "The calls of the network in a run" : "Noise schedules";
  if (first.steps) return fmt::format("{}: {} calls of the network", first.name, first.points.size());
  return fmt::format("{}: {} training timesteps", first.name, first.num_train_timesteps);
}

}  // namespace

PlotSheet plot_schedules(const std::vector<ScheduleTable>& tables, const std::vector<ScheduleCurve>& curves,
                         std::optional<bool> log_scale) {
  if (tables.size() > kPlotColors)
    throw usage_error(fmt::format("--svg: {} schedules in one plot cannot be told apart", tables.size()),
                      fmt::format("Draw at most {}.", kPlotColors));
  const auto wanted = [&](ScheduleCurve curve) {
    return std::find(curves.begin(), curves.end(), curve) != curves.end();
  };
  const bool alpha = wanted(ScheduleCurve::sqrt_alphas_cumprod);
  const bool noise = wanted(ScheduleCurve::sqrt_one_minus_alphas_cumprod);

  PlotSheet sheet{.title = title_of(tables), .legend = {}, .panels = {}};
  if (tables[0].steps) sheet.panels.push_back(timesteps_panel(tables));
  if (alpha || noise) sheet.panels.push_back(weights_panel(tables, alpha, noise));
  for (const ScheduleCurve curve :
       {ScheduleCurve::alphas_cumprod, ScheduleCurve::log_snr, ScheduleCurve::sigmas, ScheduleCurve::betas})
    if (wanted(curve)) sheet.panels.push_back(curve_panel(tables, curve, log_scale));
  if (tables.size() > 1)
    for (size_t i = 0; i < tables.size(); ++i) sheet.legend.push_back({tables[i].name, plot_color(i)});
  sheet.columns = 2;
  if (sheet.panels.size() > 1 && sheet.panels.size() % 2 == 1) sheet.panels.back().width = 2 * kPanelWidth;
  return sheet;
}

}  // namespace unnoise
