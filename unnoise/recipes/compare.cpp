#include "unnoise/recipes/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/recipes/comparison.h"
#include "unnoise/recipes/finish_run.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/output_file.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise {
namespace {

/// Options that say where a run is and what it leaves behind.
std::set<std::string> settings_not_shown() {
  std::set<std::string> names = {"recipe", "dataloader_num_workers"};
  for (const FieldRole role : {FieldRole::place, FieldRole::trace}) names.merge(field_names<TrainOptions>(role));
  return names;
}

std::vector<std::string> differing_settings(const std::vector<RunSummary>& runs) {
  const auto not_shown = settings_not_shown();
  std::vector<std::string> settings;
  for (const auto& [key, value] : runs.front().options.items())
    if (!not_shown.contains(key) && std::any_of(runs.begin(), runs.end(), [&](const RunSummary& run) {
          return run.options.value(key, Json()) != value;
        }))
      settings.push_back(key);
  return settings;
}

std::vector<std::string> measured_names(const std::vector<RunSummary>& runs) {
  std::set<std::string> names;
  for (const RunSummary& run : runs) {
    for (const auto& [name, value] : run.quality()) names.insert(name);
  }
  return {names.begin(), names.end()};
}

/// The settings by which the runs' training losses measure different things; options that a run does not know have
/// their defaults.
std::vector<std::string> differing_losses(const std::vector<RunSummary>& runs) {
  const Json defaults = to_json(TrainOptions());
  std::vector<std::string> differing;
  for (const std::string& key : field_names<TrainOptions>(FieldRole::loss)) {
    const auto value_in = [&](const RunSummary& run) { return run.options.value(key, defaults.at(key)); };
    const Json first = value_in(runs.front());
    if (std::any_of(runs.begin(), runs.end(), [&](const RunSummary& run) { return value_in(run) != first; }))
      differing.push_back(key);
  }
  return differing;
}

std::string rounded_text(double value) {
  return std::abs(value) >= 1e4 || (value != 0 && std::abs(value) < 1e-3) ? fmt::format("{:.3g}", value)
                                                                          : fmt::format("{:.4f}", value);
}

/// "[32,64] on mnist" of the text of a network.
std::string network_text(const std::string& text) {
  const Json network = Json::parse(text, nullptr, false);
  if (!network.is_object()) return text;
  std::string out = network.value("preset", "");
  for (const auto& [key, value] : network.items())
    if (key != "preset") out += fmt::format("{}{}={}", out.empty() ? "" : " ", key, value.dump());
  return out;
}

/// Of how many pictures the numbers are; more than one count where they were measured at different times.
std::string pictures_text(const std::map<std::string, QualityNumber>& quality) {
  std::set<int64_t> counts;
  for (const auto& [name, number] : quality) counts.insert(number.num_images);
  return counts.empty() ? "-" : fmt::format("{}", fmt::join(counts, ", "));
}

std::string verdict_text(const std::optional<bool>& copies) { return copies ? *copies ? "COPIES" : "no sign" : "-"; }

std::string padded(const ComparisonTable& table) {
  std::vector<size_t> widths;
  for (const auto& column : table.columns) widths.push_back(column.size());
  for (const auto& row : table.rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out;
    for (size_t i = 0; i < cells.size(); ++i) out += fmt::format("{}{:<{}}", i > 0 ? "  " : "", cells[i], widths[i]);
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  };
  std::string out = line(table.columns);
  for (const auto& row : table.rows) out += line(row);
  return out;
}

Json comparison_json(const Comparison& comparison) {
  Json list = Json::array();
  for (const auto& [run, value] : comparison.runs) {
    Json settings = Json::object();
    for (const auto& setting : comparison.settings) settings[setting] = run.options.value(setting, Json());
    list.push_back({{"name", run.name},
                    {"folder", run.folder.string()},
                    {"settings", settings},
                    {"steps", run.steps},
                    {"result", to_json(run.result)},
                    {"quality", to_json(run.quality()).at("metrics")},
                    {"command", run.repeat(run.repeat_file.string())}});
    if (value) list.back()["value"] = *value;
    if (const auto copies = run.copies()) list.back()["copies"] = *copies;
  }
  return {{"rank_by", comparison.rank_by}, {"runs", list}, {"note", comparison.note}};
}

/// The held-out loss of a finished run that has none; nothing where its data or model cannot be read.
void measure_held_out(RunSummary& run, int64_t num_images, const Observer& observer) {
  if (run.result.held_out || !fs::exists(run.folder / "model_index.json")) return;
  TrainOptions options;
  try {
    assign_json(options, run.options, run.name, UnknownKeys::ignore);
    run.result.held_out = held_out_of(options, run.folder, num_images, observer, {});
  } catch (const Error& e) {
    observer.warn(fmt::format("{}: no held-out loss: {}", run.folder.string(), e.message()));
  }
}

}  // namespace

std::string setting_text(const RunSummary& run, const std::string& setting) {
  const Json value = run.options.value(setting, Json());
  if (value.is_null()) return "-";
  if (value.is_number_float()) return fmt::format("{:g}", value.get<double>());
  if (value.is_string() && setting == "model_config_name_or_path") return network_text(value.get<std::string>());
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Comparison compare_runs(std::vector<RunSummary> runs, const CompareOptions& options) {
  if (runs.empty()) throw usage_error("nothing to compare", "Give the folders of runs or sweeps.");
  Comparison result;
  result.highest = options.highest;
  result.settings = differing_settings(runs);
  result.numbers = measured_names(runs);
  result.measured = std::any_of(runs.begin(), runs.end(), [](const RunSummary& run) { return !run.quality().empty(); });
  const bool all_held_out =
      std::all_of(runs.begin(), runs.end(), [](const RunSummary& run) { return run.result.held_out.has_value(); });
  result.rank_by = options.rank_by.value_or(all_held_out ? "held_out" : "loss");
  if (const auto differing = differing_losses(runs); result.rank_by == "loss" && !differing.empty())
    result.note = fmt::format(
        "The training losses of these runs measure different things ({} differ), so they cannot be compared: rank them "
        "by held_out (--held-out-images 128 measures it where it is missing).",
        fmt::join(differing, ", "));
  for (RunSummary& run : runs) {
    const auto value = run.number(result.rank_by);
    result.runs.push_back({std::move(run), value});
  }
  if (std::none_of(result.runs.begin(), result.runs.end(), [](const RankedRun& r) { return r.value.has_value(); }))
    throw usage_error(fmt::format("--rank-by {}: no run has such a number", result.rank_by),
                      fmt::format("There are held_out, loss, seconds, cpu_seconds{}{}.",
                                  result.numbers.empty() ? "" : ", ", fmt::join(result.numbers, ", ")));
  // A run that was stopped early is behind all that were not: it has had less training, or lost on the way.
  const auto key = [&](const RankedRun& r) {
    const double value = r.value.value_or(std::nan(""));
    const double cost = std::isnan(value) ? HUGE_VAL : options.highest ? -value : value;
    return std::tuple(!r.run.is_finished(), r.run.is_finished() ? 0 : -r.run.steps, cost);
  };
  std::stable_sort(result.runs.begin(), result.runs.end(),
                   [&](const RankedRun& a, const RankedRun& b) { return key(a) < key(b); });
  return result;
}

ComparisonTable table_of(const Comparison& comparison) {
  ComparisonTable table{{"rank", "run"}, {}};
  for (const char* column : {"held_out", "loss"}) table.columns.emplace_back(column);
  for (const auto& number : comparison.numbers) table.columns.push_back(number);
  if (comparison.measured) table.columns.insert(table.columns.end(), {"pictures", "copies"});
  for (const char* column : {"steps", "time", "cpu time", "memory", "state"}) table.columns.emplace_back(column);
  for (const auto& setting : comparison.settings)  // last: they may be many, and long
    table.columns.push_back(setting == "model_config_name_or_path" ? "network" : setting);
  for (size_t i = 0; i < comparison.runs.size(); ++i) {
    const RunSummary& run = comparison.runs[i].run;
    std::vector<std::string> row = {std::to_string(i + 1), run.name};
    const auto number = [&](const std::string& name) {
      const auto value = run.number(name);
      row.push_back(value && std::isfinite(*value) ? rounded_text(*value) : "-");
    };
    number("held_out");
    number("loss");
    const auto quality = run.quality();
    for (const auto& name : comparison.numbers)
      if (const auto found = quality.find(name); found != quality.end())
        row.push_back(estimate_text(found->second.estimate));
      else
        number(name);
    if (comparison.measured) row.insert(row.end(), {pictures_text(quality), verdict_text(run.copies())});
    row.push_back(human_count(run.steps));
    row.push_back(run.result.seconds ? human_seconds(*run.result.seconds) : "-");
    row.push_back(run.result.cpu_seconds ? human_seconds(*run.result.cpu_seconds) : "-");
    row.push_back(run.result.peak_memory_bytes ? human_bytes(static_cast<double>(*run.result.peak_memory_bytes)) : "-");
    row.push_back(run.result.status.substr(0, run.result.status.find(':')));
    for (const auto& setting : comparison.settings) row.push_back(setting_text(run, setting));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string compare(const std::vector<std::string>& folders, const CompareOptions& options, const Observer& observer) {
  std::vector<RunSummary> runs;
  for (const std::string& folder : folders)
    for (const fs::path& path : runs_in(folder)) runs.push_back(read_run(path));
  if (options.output) prepare_output_file(*options.output);
  if (options.held_out_images > 0)
    for (RunSummary& run : runs) measure_held_out(run, options.held_out_images, observer);
  const Comparison comparison = compare_runs(std::move(runs), options);
  if (options.output) {
    const std::string title = folders.size() == 1 ? fs::path(folders[0]).filename().string() : "Runs compared";
    write_file_atomic(*options.output, comparison_html(comparison, title));
  }
  if (options.json) return dump_json(comparison_json(comparison));
  std::string text = padded(table_of(comparison));
  if (!comparison.note.empty()) text += "\n" + comparison.note + "\n";
  if (options.output) text += *options.output + "\n";
  return text;
}

}  // namespace unnoise
