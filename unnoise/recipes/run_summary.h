// What a run folder says about its run, in one value: for comparing runs. Any folder that unnoise train wrote will do;
// result.json, which recipes and sweeps add, says more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/recipes/held_out_eps_error.h"
#include "unnoise/recipes/quality_numbers.h"

namespace unnoise {

using Series = std::vector<std::pair<int64_t, double>>;  ///< (step, value)

/// What came out of a run besides its files: result.json.
struct RunResult {
  std::string status;  ///< "done", or why not: "stopped at step 200 of 800: behind others"
  std::optional<double> seconds;
  std::optional<double> cpu_seconds;  ///< of all threads together
  std::optional<int64_t> peak_memory_bytes;
  std::optional<HeldOutEpsError> held_out;
  Json evaluation = Json::object();  ///< what unnoise evaluate --json said
  Json machine = Json::object();     ///< threads, device, versions, to read
};
Json to_json(const RunResult& result);
RunResult run_result_from_json(const Json& json);

struct RunSummary {
  std::string name;
  fs::path folder;
  Json options = Json::object();  ///< of unnoise train, as options.json has them
  RunResult result;
  std::map<std::string, Series>
      series;                    ///< every number of log.jsonl by its name: "loss", "grad_norm", "kernel_distance" ...
  Json logged_evaluation = Json::object();  ///< the last of log.jsonl: --evaluate-every
  int64_t steps = 0;             ///< made
  std::optional<fs::path> grid;  ///< a picture of samples, the latest
  std::string repeat_command;    ///< "unnoise recipe run": repeats the run, given the next
  fs::path repeat_file;          ///< recipe.json, else options.json

  bool is_finished() const { return result.status == "done"; }
  /// The whole command, with the file at `path`.
  std::string repeat(const std::string& path) const { return repeat_command + " " + path + " --output-dir again"; }
  /// One of quality(), else the last value of a series, of the loss its smoothed one.
  std::optional<double> number(const std::string& name) const;
  /// The newest measurement of each: of result.json's evaluation, else the last of the log's.
  std::map<std::string, QualityNumber> quality() const;
  /// Whether it hands out its training pictures, where that was looked for; by the same rule.
  std::optional<bool> copies() const;
};

/// Error::data when `folder` holds no run.
RunSummary read_run(const fs::path& folder);
/// The runs that `path` stands for: itself, or those of a sweep. Error::data when there is neither.
std::vector<fs::path> runs_in(const fs::path& path);

/// Weight of the past in the smoothed loss that runs are told apart by.
inline constexpr double kLossSmoothing = 0.98;
double smoothed_loss(const Series& losses);

}  // namespace unnoise
