#include "unnoise/recipes/schedule.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/recipes/evenly_spaced.h"
#include "unnoise/recipes/output_file.h"
#include "unnoise/recipes/schedule_plot.h"
#include "unnoise/recipes/schedule_table.h"
#include "unnoise/recipes/schedule_text.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

constexpr int64_t kMostSteps = 1'000'000;
constexpr int64_t kUsualRows = 20, kMostRowsOfARun = 60;

void check_options(const ScheduleOptions& o) {
  if (o.curves.empty()) throw usage_error("--curves: nothing was given");
  if (o.rows && *o.rows < 0) throw usage_error(fmt::format("--rows: expected 0 or more, found {}", *o.rows));
  if (o.num_inference_steps && (*o.num_inference_steps < 1 || *o.num_inference_steps > kMostSteps))
    throw usage_error(
        fmt::format("--num-inference-steps: expected 1 to {}, found {}", kMostSteps, *o.num_inference_steps));
  if (o.num_inference_steps && (o.timesteps || o.sigmas))
    throw usage_error("--num-inference-steps and --timesteps or --sigmas: give one of them");
  if (o.svg) prepare_output_file(*o.svg);
}

/// Tables of runs where one was asked for, or where a method has no table over the training timesteps.
std::vector<ScheduleTable> make_tables(const ScheduleOptions& o) {
  const auto schedules = find_schedules(o);
  if (schedules.empty())
    throw usage_error("nothing was named", "unnoise schedule linear, or unnoise schedule --model my-model");
  const StartOptions defaults;
  const bool given = o.num_inference_steps || to_json<StartOptions>(o) != to_json(defaults);
  const bool is_run = given || std::any_of(schedules.begin(), schedules.end(),
                                           [](const NamedSchedule& s) { return !s.scheduler->has_noise(); });
  if (is_run && std::find(o.curves.begin(), o.curves.end(), ScheduleCurve::betas) != o.curves.end())
    throw usage_error("--curves: betas belong to training timesteps, not to the calls of a run");
  std::vector<ScheduleTable> tables;
  for (const auto& schedule : schedules) {
    if (!is_run) {
      tables.push_back(training_table(schedule));
      continue;
    }
    StartOptions start = o;
    const int64_t usual = find_sampler(schedule.scheduler->class_name()).info->usual_steps;
    start.steps = o.num_inference_steps.value_or(std::min(usual, schedule.scheduler->num_train_timesteps()));
    tables.push_back(run_table(schedule, start));
  }
  return tables;
}

std::vector<int64_t> choose_rows(const ScheduleTable& table, std::optional<int64_t> rows) {
  const auto count = static_cast<int64_t>(table.points.size());
  const int64_t usual = table.steps && count <= kMostRowsOfARun ? count : kUsualRows;
  const int64_t shown = rows.value_or(usual);
  return evenly_spaced(count, shown == 0 ? count : shown);
}

/// "ddim (DDIMScheduler)", then how long the way is and what lies on it.
std::string table_heading(const ScheduleTable& table) {
  std::string out = fmt::format("{} ({})\n", table.name, table.class_name);
  if (!table.steps)
    out += fmt::format("{} training timesteps", table.num_train_timesteps);
  else if (table.adaptive)
    out += "chooses its steps as it goes; known before are these";
  else
    out += fmt::format("{} steps, {} calls of the network", *table.steps, table.points.size());
  if (table.final_sigma) out += fmt::format(", to sigma {:.6g}", *table.final_sigma);
  return out + (table.path.empty() ? "\n" : fmt::format("; {}\n", table.path));
}

std::string text_report(const std::vector<ScheduleTable>& tables, const ScheduleOptions& o) {
  std::string out = explain_columns(o.curves, tables[0].steps.has_value());
  for (const auto& table : tables)
    out += "\n" + table_heading(table) + "\n" +
           text_table(table, choose_rows(table, o.rows), o.curves, table.steps ? "call" : "");
  return out;
}

Json json_report(const std::vector<ScheduleTable>& tables, const ScheduleOptions& o) {
  Json list = Json::array();
  for (const auto& table : tables) {
    list.push_back(json_table(table, o.curves));
    if (!table.steps) continue;
    list.back()["model_calls"] = table.adaptive ? Json() : Json(table.points.size());
    list.back()["final_sigma"] = table.final_sigma ? Json(*table.final_sigma) : Json();
  }
  return Json{{"schedules", list}};
}

}  // namespace

ScheduleReport show_schedules(const ScheduleOptions& options) {
  check_options(options);
  const auto tables = make_tables(options);
  ScheduleReport report;
  report.text = options.json ? dump_json(json_report(tables, options)) : text_report(tables, options);
  if (options.svg) {
    write_file_atomic(*options.svg, to_svg(plot_schedules(tables, options.curves, options.log_scale)));
    report.files.push_back(*options.svg);
  }
  return report;
}

}  // namespace unnoise
