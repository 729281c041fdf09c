#include "unnoise/recipes/ema_sweep.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "unnoise/logging/line_plot.h"

namespace unnoise {
namespace {

struct MeanAndError {
  double mean;
  double error;  ///< standard error; 0 of one value
};

MeanAndError mean_and_error(const Tensor& values) {
  const Tensor v = values.to(at::kDouble);
  const auto n = static_cast<double>(v.numel());
  return {v.mean().item<double>(), n > 1 ? v.std().item<double>() / std::sqrt(n) : 0.0};
}

double mean_loss(const EmaSweepRow& row) { return mean_and_error(row.losses).mean; }

bool is_stored(const EmaSweep& sweep, double sigma_rel) {
  return std::find(sweep.stored.begin(), sweep.stored.end(), sigma_rel) != sweep.stored.end();
}

LinePlot sweep_plot(const EmaSweep& sweep) {
  Curve rebuilt{.name = "rebuilt", .x = {}, .y = {}, .dots = true};
  Curve stored{.name = "stored", .x = {}, .y = {}, .color = plot_color(1), .dots = true};
  for (const EmaSweepRow& row : sweep.rows) {
    rebuilt.x.push_back(row.sigma_rel);
    rebuilt.y.push_back(1000 * mean_loss(row));  // short numbers on the axis
    if (!is_stored(sweep, row.sigma_rel)) continue;
    stored.x.push_back(rebuilt.x.back());
    stored.y.push_back(rebuilt.y.back());
  }
  LinePlot plot{.title = fmt::format("averages of {}, step {}", fs::path(sweep.run).filename().string(), sweep.step),
                .x_label = "sigma_rel",
                .y_label = fmt::format("thousandths of loss, {} held-out pictures", sweep.num_images),
                .curves = {rebuilt}};
  // A curve through two stored widths would cut across the bend between them: each is a dot of its own.
  for (size_t i = 0; i < stored.x.size(); ++i)
    plot.curves.push_back({.name = fmt::format("stored {}", stored.x[i]),
                           .x = {stored.x[i]},
                           .y = {stored.y[i]},
                           .color = stored.color,
                           .dots = true});
  return plot;
}

}  // namespace

size_t best_row(const EmaSweep& sweep) {
  const auto best = std::min_element(sweep.rows.begin(), sweep.rows.end(),
                                     [](const auto& a, const auto& b) { return mean_loss(a) < mean_loss(b); });
  return static_cast<size_t>(best - sweep.rows.begin());
}

std::string sweep_table(const EmaSweep& sweep) {
  const size_t best = best_row(sweep);
  std::string out = fmt::format("step {}, {} held-out pictures\n\nsigma_rel       loss   above the best\n", sweep.step,
                                sweep.num_images);
  for (size_t i = 0; i < sweep.rows.size(); ++i) {
    const EmaSweepRow& row = sweep.rows[i];
    const auto above = mean_and_error(row.losses - sweep.rows[best].losses);
    out += fmt::format("{:<9}  {:.7f}   ", row.sigma_rel, mean_loss(row));
    out += i == best ? "best" : fmt::format("{:.7f} ± {:.7f}", above.mean, above.error);
    out += is_stored(sweep, row.sigma_rel) ? "  (stored)\n" : "\n";
  }
  return out;
}

Json sweep_json(const EmaSweep& sweep) {
  const size_t best = best_row(sweep);
  Json rows = Json::array();
  for (const EmaSweepRow& row : sweep.rows) {
    const auto loss = mean_and_error(row.losses);
    const auto above = mean_and_error(row.losses - sweep.rows[best].losses);
    rows.push_back({{"sigma_rel", row.sigma_rel},
                    {"stored", is_stored(sweep, row.sigma_rel)},
                    {"residual", row.residual},
                    {"loss", loss.mean},
                    {"loss_standard_error", loss.error},
                    {"above_best", above.mean},
                    {"above_best_standard_error", above.error}});
  }
  return {{"run", sweep.run},
          {"step", sweep.step},
          {"num_images", sweep.num_images},
          {"best_sigma_rel", sweep.rows[best].sigma_rel},
          {"rows", rows}};
}

std::vector<std::string> write_sweep(const EmaSweep& sweep, const fs::path& folder) {
  make_folders(folder);
  const fs::path svg = folder / "ema-sweep.svg", json = folder / "ema-sweep.json";
  write_file_atomic(svg, to_svg(sweep_plot(sweep)));
  write_json(json, sweep_json(sweep));
  return {svg.string(), json.string()};
}

}  // namespace unnoise
