#include "unnoise/recipes/loss_curve.h"

#include <array>

#include "unnoise/logging/line_plot.h"

namespace unnoise {
namespace {

constexpr double kKept = 0.95;  ///< weight of the past in the running mean
constexpr std::array kColumns = {"step", "epoch", "loss", "lr", "grad_norm", "ema_decay"};

std::string header() {
  std::string line;
  for (const char* column : kColumns) line += std::string(line.empty() ? "" : ",") + column;
  return line + "\n";
}

/// The same digits as in log.jsonl: what reads them gets the same numbers. A run without an average has no ema_decay.
std::string row(const Json& record) {
  std::string line;
  for (const char* column : kColumns) {
    if (!line.empty()) line += ',';
    if (const auto value = record.find(column); value != record.end()) line += value->dump();
  }
  return line + "\n";
}

bool is_step(const Json& record) { return record.contains("loss"); }

}  // namespace

LossCurve::LossCurve(const fs::path& run, const std::vector<Json>& records) : run_(run) {
  std::string rows = header();
  for (const Json& record : records) {
    count(record);
    if (is_step(record)) rows += row(record);
  }
  write_file_atomic(run / "loss.csv", rows);
  csv_.emplace(run / "loss.csv");
}

void LossCurve::append(const Json& record) {
  count(record);
  if (is_step(record)) csv_->append(row(record));
}

void LossCurve::count(const Json& record) {
  const auto number = [&](const char* key) { return record.at(key).get<double>(); };
  if (record.contains("epoch_mean_loss")) {
    epoch_ends_.push_back(number("step"));
    epoch_means_.push_back(number("epoch_mean_loss"));
  }
  if (!is_step(record)) return;
  const double loss = number("loss");
  smoothed_ = losses_.empty() ? loss : kKept * smoothed_ + (1 - kKept) * loss;
  steps_.push_back(number("step"));
  losses_.push_back(loss);
  if (const auto epoch = record.at("epoch").get<int64_t>(); epoch != epoch_) {
    epoch_ = epoch;
    epoch_sum_ = 0;
    epoch_steps_ = 0;
  }
  epoch_sum_ += loss;
  ++epoch_steps_;
}

void LossCurve::write_plot() const {
  if (losses_.empty()) return;
  const Curve loss{.name = "loss", .x = steps_, .y = losses_, .smoothing = 0.9, .color = plot_color(0)};
  const Curve means{
      .name = "mean of an epoch", .x = epoch_ends_, .y = epoch_means_, .color = plot_color(1), .dots = true};
  PlotSheet sheet{
      .title = run_.filename().string(), .legend = {{loss.name, loss.color}, {means.name, means.color}}, .panels = {}};
  for (const bool log_y : {false, true})
    sheet.panels.push_back({.title = "",
                            .x_label = "step",
                            .y_label = log_y ? "loss, logarithmic" : "loss",
                            .curves = {loss, means},
                            .log_y = log_y,
                            .width = 600,
                            .height = 380,
                            .legend = false});
  write_file_atomic(run_ / "loss.svg", to_svg(sheet));
}

}  // namespace unnoise
