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

/// The curve of one number over the widths.
template <class F>
LinePlot sweep_plot(const EmaSweep& sweep, const std::string& y_label, const F& value) {
  Curve rebuilt{.name = "rebuilt", .x = {}, .y = {}, .dots = true};
  Curve stored{.name = "stored", .x = {}, .y = {}, .color = plot_color(1), .dots = true};
  for (const EmaSweepRow& row : sweep.rows) {
    rebuilt.x.push_back(row.sigma_rel);
    rebuilt.y.push_back(value(row));
    if (!is_stored(sweep, row.sigma_rel)) continue;
    stored.x.push_back(rebuilt.x.back());
    stored.y.push_back(rebuilt.y.back());
  }
  LinePlot plot{.title = fmt::format("averages of {}, step {}", fs::path(sweep.run).filename().string(), sweep.step),
                .x_label = "sigma_rel",
                .y_label = y_label,
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
  const auto score = [](const EmaSweepRow& row) { return row.fd ? row.fd->value : mean_loss(row); };
  const auto best = std::min_element(sweep.rows.begin(), sweep.rows.end(),
                                     [&](const auto& a, const auto& b) { return score(a) < score(b); });
  return static_cast<size_t>(best - sweep.rows.begin());
}

std::string sweep_table(const EmaSweep& sweep) {
  const size_t best = best_row(sweep);
  const bool with_fd = sweep.fd_images > 0;
  std::string out = fmt::format("step {}, {} held-out pictures", sweep.step, sweep.num_images);
  if (with_fd) out += fmt::format(", {} drawn with each width", sweep.fd_images);
  out += fmt::format("\n\nsigma_rel       loss   {:<24}{}\n", "above the best", with_fd ? "  FD-fmnist (95 %)" : "");
  for (size_t i = 0; i < sweep.rows.size(); ++i) {
    const EmaSweepRow& row = sweep.rows[i];
    const auto above = mean_and_error(row.losses - sweep.rows[best].losses);
    out += fmt::format("{:<9}  {:.7f}   ", row.sigma_rel, mean_loss(row));
    const std::string difference = i == best ? "best" : fmt::format("{:.7f} ± {:.7f}", above.mean, above.error);
    out += row.fd
               ? fmt::format("{:<24}  {:.2f} ({:.2f} to {:.2f})", difference, row.fd->value, row.fd->low, row.fd->high)
               : difference;
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
    if (row.fd) rows.back()["fd_fmnist"] = {{"value", row.fd->value}, {"low", row.fd->low}, {"high", row.fd->high}};
  }
  return {{"run", sweep.run},
          {"step", sweep.step},
          {"num_images", sweep.num_images},
          {"fd_images", sweep.fd_images},
          {"best_sigma_rel", sweep.rows[best].sigma_rel},
          {"rows", rows}};
}

std::vector<std::string> write_sweep(const EmaSweep& sweep, const fs::path& folder) {
  make_folders(folder);
  std::vector<std::string> files;
  const auto draw = [&](const char* name, const LinePlot& plot) {
    files.push_back((folder / name).string());
    write_file_atomic(files.back(), to_svg(plot));
  };
  draw("ema-sweep.svg", sweep_plot(sweep, fmt::format("thousandths of loss, {} held-out pictures", sweep.num_images),
                                   [](const EmaSweepRow& row) { return 1000 * mean_loss(row); }));
  if (sweep.fd_images > 0)
    draw("ema-sweep-fd.svg", sweep_plot(sweep, fmt::format("FD-fmnist, {} drawn pictures", sweep.fd_images),
                                        [](const EmaSweepRow& row) { return row.fd->value; }));
  files.push_back((folder / "ema-sweep.json").string());
  write_json(files.back(), sweep_json(sweep));
  return files;
}

}  // namespace unnoise
