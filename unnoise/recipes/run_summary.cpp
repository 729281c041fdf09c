#include "unnoise/recipes/run_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/logging/line_plot.h"
#include "unnoise/logging/run_log.h"
#include "unnoise/recipes/run_folder.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise {
namespace {

/// Numbers of a nested object under dotted names: {"fd": {"value": 3}} -> "fd.value".
void flatten(const Json& json, const std::string& prefix, std::map<std::string, double>& numbers) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_number()) numbers[name] = value.get<double>();
    if (value.is_object()) flatten(value, name, numbers);
  }
}

void read_series(const fs::path& log, RunSummary& run) {
  if (!fs::exists(log)) return;
  for (const Json& record : read_run_log(log)) {
    const int64_t step = record.at("step").get<int64_t>();
    run.steps = std::max(run.steps, step);
    std::map<std::string, double> numbers;
    if (record.contains("metrics")) {
      run.logged_evaluation = record;
      for (const auto& [name, number] : quality_numbers(record)) numbers[name] = number.estimate.value;
    } else {
      flatten(record, "", numbers);
    }
    for (const auto& [name, value] : numbers)
      if (name != "step" && name != "epoch") run.series[name].emplace_back(step, value);
  }
}

/// Of a run without result.json: times and memory from the log's epochs.
RunResult result_from_log(const RunSummary& run) {
  RunResult result;
  const bool finished = fs::exists(run.folder / "model_index.json");
  result.status = finished ? "done" : fmt::format("at step {}", run.steps);
  const auto sum_of = [&](const char* name) {
    std::optional<double> sum;
    if (const auto found = run.series.find(name); found != run.series.end())
      for (const auto& [step, value] : found->second) sum = sum.value_or(0) + value;
    return sum;
  };
  result.seconds = sum_of("seconds");
  result.cpu_seconds = sum_of("cpu_seconds");
  if (const auto peak = run.series.find("peak_memory_bytes"); peak != run.series.end())
    for (const auto& [step, value] : peak->second)
      result.peak_memory_bytes = std::max<int64_t>(result.peak_memory_bytes.value_or(0), std::llround(value));
  return result;
}

}  // namespace

Json to_json(const RunResult& result) {
  Json json{{"status", result.status}, {"machine", result.machine}};
  if (result.seconds) json["seconds"] = *result.seconds;
  if (result.cpu_seconds) json["cpu_seconds"] = *result.cpu_seconds;
  if (result.peak_memory_bytes) json["peak_memory_bytes"] = *result.peak_memory_bytes;
  if (result.held_out) json["held_out"] = to_json(*result.held_out);
  if (!result.evaluation.empty()) json["evaluation"] = result.evaluation;
  return json;
}

RunResult run_result_from_json(const Json& json) {
  RunResult result;
  result.status = json.value("status", "");
  if (json.contains("seconds")) result.seconds = json.at("seconds").get<double>();
  if (json.contains("cpu_seconds")) result.cpu_seconds = json.at("cpu_seconds").get<double>();
  if (json.contains("peak_memory_bytes")) result.peak_memory_bytes = json.at("peak_memory_bytes").get<int64_t>();
  result.held_out = held_out_from_json(json.value("held_out", Json()));
  result.evaluation = json.value("evaluation", Json::object());
  result.machine = json.value("machine", Json::object());
  return result;
}

std::optional<double> RunSummary::number(const std::string& name) const {
  if (name == "held_out") return result.held_out ? std::optional(result.held_out->mean) : std::nullopt;
  if (name == "seconds") return result.seconds;
  if (name == "cpu_seconds") return result.cpu_seconds;
  const auto measured = quality();
  if (const auto found = measured.find(name); found != measured.end()) return found->second.estimate.value;
  const auto found = series.find(name);
  if (found == series.end() || found->second.empty()) return std::nullopt;
  return name == "loss" ? smoothed_loss(found->second) : found->second.back().second;
}

std::map<std::string, QualityNumber> RunSummary::quality() const {
  auto numbers = quality_numbers(result.evaluation);
  numbers.merge(quality_numbers(logged_evaluation));
  return numbers;
}

std::optional<bool> RunSummary::copies() const {
  const auto found = found_copies(result.evaluation);
  return found ? found : found_copies(logged_evaluation);
}

RunSummary read_run(const fs::path& folder) {
  if (!fs::exists(folder / "options.json"))
    throw data_error(fmt::format("\"{}\" holds no run: it has no options.json", folder.string()),
                     "Give a folder that unnoise train, recipe run or recipe sweep wrote.");
  RunSummary run;
  run.folder = folder;
  run.name = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  run.options = read_json(folder / "options.json");
  read_series(folder / "log.jsonl", run);
  run.result = result_from_log(run);
  if (fs::exists(folder / "result.json")) {
    try {
      run.result = run_result_from_json(read_json(folder / "result.json"));
    } catch (const nlohmann::json::exception& e) {
      throw data_error(fmt::format("\"{}\": {}", (folder / "result.json").string(), e.what()));
    }
  }
  run.grid = newest_grid(folder);
  const bool of_recipe = fs::exists(folder / "recipe.json");
  run.repeat_command = of_recipe ? "unnoise recipe run" : "unnoise train --options";
  run.repeat_file = folder / (of_recipe ? "recipe.json" : "options.json");
  return run;
}

std::vector<fs::path> runs_in(const fs::path& path) {
  if (!fs::exists(path / "sweep.json")) return {path};
  std::vector<fs::path> runs;
  for (const auto& entry : fs::directory_iterator(path / "runs"))
    if (fs::exists(entry.path() / "options.json")) runs.push_back(entry.path());
  std::sort(runs.begin(), runs.end());
  if (runs.empty())
    throw data_error(fmt::format("the sweep \"{}\" has begun no run yet", path.string()),
                     "Go on with it: the command that started it.");
  return runs;
}

double smoothed_loss(const Series& losses) {
  std::vector<double> values;
  for (const auto& [step, loss] : losses) values.push_back(loss);
  const auto means = smoothed(values, kLossSmoothing);
  return means.empty() ? std::nan("") : means.back();
}

}  // namespace unnoise
