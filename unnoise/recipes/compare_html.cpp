// The page of a comparison: readable on a phone, in light and dark, printed, and without a network.
#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/version.h"
#include "unnoise/logging/line_plot.h"
#include "unnoise/recipes/comparison.h"
#include "unnoise/recipes/html.h"

namespace unnoise {
namespace {

constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --ink: #1d2129; --dim: #5c6470; --line: #d9dde3; --card: #f6f7f9; --page: #ffffff; --mark: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --dim: #9aa3af; --line: #363b44; --card: #1f2329; --page: #15181c; --mark: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 72rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
p { margin: .4rem 0; } .dim { color: var(--dim); font-size: .9rem; }
.note { border-left: 4px solid #d55e00; padding: .3rem .8rem; background: var(--card); }
.wide { overflow-x: auto; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--dim); font-weight: 600; } tr.best td { font-weight: 600; } td.ranked { color: var(--mark); }
.plot { width: 100%; min-width: 32rem; max-width: 50rem; height: auto; display: block; border-radius: 6px; background: #fff; margin: .6rem 0; }
.runs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1rem; }
.run { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem; min-width: 0; overflow-wrap: anywhere; }
.run img { width: 100%; height: auto; image-rendering: pixelated; border-radius: 4px; display: block; margin: .5rem 0; }
.run h3 { margin: 0; font-size: 1rem; } .swatch { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .4rem; }
code { display: block; overflow-x: auto; background: var(--page); border: 1px solid var(--line); border-radius: 4px; padding: .4rem .5rem;
  font: .8rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--dim); } a { color: var(--mark); }
pre { max-height: 24rem; overflow: auto; font: .75rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre-wrap; }
)css";

/// "1. 02": what a run is called in legends and headings.
std::string label(const Comparison& comparison, size_t i) {
  return fmt::format("{}. {}", i + 1, comparison.runs[i].run.name);
}

std::string table_html(const Comparison& comparison) {
  const ComparisonTable table = table_of(comparison);
  std::string out = "<div class=\"wide\"><table>\n<thead><tr>";
  for (const auto& column : table.columns) out += "<th scope=\"col\">" + html_escaped(column) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < table.rows.size(); ++i) {
    out += i == 0 ? "<tr class=\"best\">" : "<tr>";
    for (size_t k = 0; k < table.rows[i].size(); ++k)
      out += fmt::format("<td{}>{}</td>", table.columns[k] == comparison.rank_by ? " class=\"ranked\"" : "",
                         html_escaped(table.rows[i][k]));
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string plot_html(const LinePlot& plot) {
  return fmt::format("<div class=\"wide\"><img class=\"plot\" alt=\"{}\" src=\"{}\"></div>\n", html_escaped(plot.title),
                     data_uri("image/svg+xml", to_svg(plot)));
}

/// A curve a run of one series; empty where no run has it.
LinePlot series_plot(const Comparison& comparison, const std::string& name, const std::string& title,
                     double smoothing) {
  LinePlot plot{.title = title, .x_label = "step", .y_label = name, .curves = {}, .log_y = name == "loss"};
  for (size_t i = 0; i < comparison.runs.size(); ++i) {
    const auto& all = comparison.runs[i].run.series;
    const auto found = all.find(name);
    Curve curve{.name = label(comparison, i), .x = {}, .y = {}, .color = plot_color(i), .dots = false};
    if (found != all.end()) {
      std::vector<double> values;
      for (const auto& [step, value] : found->second) {
        curve.x.push_back(static_cast<double>(step));
        values.push_back(value);
      }
      curve.y = smoothing > 0 ? smoothed(values, smoothing) : values;
      curve.dots = values.size() <= 20;
    }
    plot.curves.push_back(std::move(curve));
  }
  return plot;
}

/// Error of the noise over the noise level, where runs have it.
LinePlot held_out_plot(const Comparison& comparison) {
  LinePlot plot{.title = "Held-out error of the noise, by noise level",
                .x_label = "timestep of the linear schedule (0 = clean)",
                .y_label = "mean squared error of eps",
                .curves = {},
                .log_y = true};
  for (size_t i = 0; i < comparison.runs.size(); ++i) {
    const auto& held_out = comparison.runs[i].run.result.held_out;
    Curve curve{.name = label(comparison, i), .x = {}, .y = {}, .color = plot_color(i), .dots = true};
    for (size_t bin = 0; held_out && bin < held_out->bins.size(); ++bin) {
      curve.x.push_back(1000.0 * (static_cast<double>(bin) + 0.5) / static_cast<double>(held_out->bins.size()));
      curve.y.push_back(held_out->bins[bin]);
    }
    plot.curves.push_back(std::move(curve));
  }
  return plot;
}

bool shows_something(const LinePlot& plot) {
  return std::any_of(plot.curves.begin(), plot.curves.end(), [](const Curve& curve) { return !curve.x.empty(); });
}

/// The file that repeats a run, to read and to save, and the command that takes it: the page may be far from the run.
std::string repeat_html(const RunSummary& run) {
  const std::string file = run.name + "-" + run.repeat_file.filename().string();
  const std::string text = read_file(run.repeat_file);
  return fmt::format(
      "<details><summary>how to repeat it</summary>\n<p>Save <a download=\"{0}\" href=\"{1}\">{0}</a>, then:</p>\n"
      "<code>{2}</code>\n<pre>{3}</pre></details>",
      html_escaped(file), data_uri("application/json", text), html_escaped(run.repeat(file)), html_escaped(text));
}

std::string run_html(const Comparison& comparison, size_t i) {
  const RunSummary& run = comparison.runs[i].run;
  std::string out =
      fmt::format("<section class=\"run\"><h3><span class=\"swatch\" style=\"background:{}\"></span>{}</h3>\n",
                  plot_color(i), html_escaped(label(comparison, i)));
  std::string settings;
  for (const auto& setting : comparison.settings)
    settings += fmt::format("{}{} {}", settings.empty() ? "" : " · ",
                            setting == "model_config_name_or_path" ? "network" : setting, setting_text(run, setting));
  if (!settings.empty()) out += "<p class=\"dim\">" + html_escaped(settings) + "</p>\n";
  if (!run.is_finished()) out += "<p class=\"dim\">" + html_escaped(run.result.status) + "</p>\n";
  if (run.grid)
    out += fmt::format("<img alt=\"samples of {}\" src=\"{}\">\n", html_escaped(run.name),
                       data_uri("image/png", read_file(*run.grid)));
  else
    out += "<p class=\"dim\">no samples</p>\n";
  return out + repeat_html(run) + "</section>\n";
}

std::string held_out_words(const Comparison& comparison) {
  for (const auto& [run, value] : comparison.runs)
    if (run.result.held_out)
      return fmt::format(
          "held_out is the mean squared error of the noise that a network sees in {} {} pictures, at the "
          "noise levels of Ho et al. 2020's linear schedule: the same pictures, noise and levels for all "
          "runs, so that runs of different objectives can be compared by it. ",
          run.result.held_out->num_images,
          run.result.held_out->unseen ? "unseen" : "training (the data have no test split)");
  return "";
}

std::string quality_words(const Comparison& comparison) {
  return comparison.measured
             ? "In brackets stand 95 % intervals, under pictures how many were measured, under copies whether they "
               "are training pictures: what unnoise evaluate says, at the end of the run. "
             : "";
}

}  // namespace

std::string comparison_html(const Comparison& comparison, const std::string& title) {
  std::string body = fmt::format("<h1>{}</h1>\n<p class=\"dim\">{} runs, ranked by {} ({} is better); unnoise {}</p>\n",
                                 html_escaped(title), comparison.runs.size(), html_escaped(comparison.rank_by),
                                 comparison.highest ? "more" : "less", kVersion);
  if (!comparison.note.empty()) body += "<p class=\"note\">" + html_escaped(comparison.note) + "</p>\n";
  body += table_html(comparison);
  body += "<p class=\"dim\">" + html_escaped(held_out_words(comparison)) + "loss is the smoothed training loss. " +
          quality_words(comparison) +
          "time is that of training steps. Runs that were stopped early stand below "
          "those that were not.</p>\n<h2>Curves</h2>\n";
  body += plot_html(series_plot(comparison, "loss", "Training loss, smoothed", kLossSmoothing));
  if (const LinePlot plot = held_out_plot(comparison); shows_something(plot)) body += plot_html(plot);
  for (const auto& number : comparison.numbers)
    if (const LinePlot plot = series_plot(comparison, number, number, 0); shows_something(plot))
      body += plot_html(plot);
  body += "<h2>Samples, and how to repeat each run</h2>\n<div class=\"runs\">\n";
  for (size_t i = 0; i < comparison.runs.size(); ++i) body += run_html(comparison, i);
  body += "</div>\n";
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n"
      "<style>{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
      html_escaped(title), kStyle, body);
}

}  // namespace unnoise
