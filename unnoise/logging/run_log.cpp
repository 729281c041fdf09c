#include "unnoise/logging/run_log.h"

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

int64_t step_of(const Json& record, const std::function<Error(std::string)>& error) {
  if (!record.is_object()) throw error("expected a JSON object");
  const auto step = record.find("step");
  if (step == record.end() || !step->is_number_integer()) throw error("expected a whole number \"step\"");
  return step->get<int64_t>();
}

/// Calls `visit(line with its newline, record)` for every whole line.
void for_each_record(const fs::path& path, std::string_view text,
                     const std::function<void(std::string_view, Json)>& visit) {
  for (int64_t number = 1;; ++number) {
    const size_t newline = text.find('\n');
    if (newline == std::string_view::npos) return;
    const std::string_view line = text.substr(0, newline + 1);
    text.remove_prefix(newline + 1);
    const auto where = fmt::format("\"{}\", line {}", path.string(), number);
    Json record = parse_json(line, where);
    step_of(record, [&](std::string what) { return data_error(where + ": " + what); });
    visit(line, std::move(record));
  }
}

/// The path itself, after the file there holds what a log that goes on from `resume_step` starts with.
const fs::path& prepared(const fs::path& path, std::optional<int64_t> resume_step) {
  std::string kept;
  if (resume_step && fs::exists(path)) {
    const std::string text = read_file(path);
    for_each_record(path, text, [&](std::string_view line, const Json& record) {
      if (record["step"].get<int64_t>() <= *resume_step) kept += line;
    });
    if (kept == text) return path;
  }
  write_file_atomic(path, kept);
  return path;
}

}  // namespace

RunLog::RunLog(const fs::path& path, std::optional<int64_t> resume_step) : file_(prepared(path, resume_step)) {}

void RunLog::append(const Json& record) {
  step_of(record, [](std::string what) { return usage_error("run log record: " + what); });
  file_.append(dump_json_line(record) + "\n");
}

std::vector<Json> read_run_log(const fs::path& path) {
  std::vector<Json> records;
  const std::string text = read_file(path);
  for_each_record(path, text, [&](std::string_view, Json record) { records.push_back(std::move(record)); });
  return records;
}

}  // namespace unnoise
