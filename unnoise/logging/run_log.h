// log.jsonl: what happened at each step of a run, one JSON object a line.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "unnoise/core/json.h"
#include "unnoise/logging/append_file.h"

namespace unnoise {

/// Appends records. Every record has a whole number "step"; steps do not fall from line to line.
class RunLog {
 public:
  /// Starts an empty log, or with `resume_step` goes on with an existing one: records of later steps, and a last line
  /// that a kill cut short, are removed first (atomically, the kept lines byte for byte), so that the log of a resumed
  /// run becomes that of an uninterrupted one. A missing file is an empty log. Throws Error::data when a line to be
  /// kept is damaged.
  explicit RunLog(const fs::path& path, std::optional<int64_t> resume_step = std::nullopt);

  /// Writes one line, at once. Throws Error::usage when "step" is missing, Error::environment when the disk is full.
  void append(const Json& record);

  const fs::path& path() const { return file_.path(); }

 private:
  AppendFile file_;
};

/// The records of a log, in order. A last line without its newline (a run that was killed, or is writing just now) is
/// left out; any other line that is no record is an Error::data that names the line.
std::vector<Json> read_run_log(const fs::path& path);

}  // namespace unnoise
