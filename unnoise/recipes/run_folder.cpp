#include "unnoise/recipes/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr std::string_view kPrefix = "checkpoint-";

/// The rest of what a run writes at the top of its folder.
constexpr std::string_view kModelNames[] = {"unet", "scheduler", "model_index.json", "ema"};

std::optional<int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [at, ec] = std::from_chars(name.data() + kPrefix.size(), end, step);
  if (ec != std::errc() || at != end) return std::nullopt;
  return step;
}

bool holds_a_run(const fs::path& path) {
  return fs::exists(path / "options.json") || fs::exists(path / "log.jsonl") || !checkpoint_steps(path).empty();
}

void remove_unfinished(const fs::path& path) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(path, ec))
    if (entry.path().filename().string().starts_with(".unfinished-")) fs::remove_all(entry.path(), ec);
}

void remove_run(const fs::path& path) {
  std::error_code ec;
  for (const int64_t step : checkpoint_steps(path)) fs::remove_all(path / fmt::format("{}{}", kPrefix, step), ec);
  for (const auto name : kRunRecords) fs::remove_all(path / name, ec);
  for (const auto name : kModelNames) fs::remove_all(path / name, ec);
}

}  // namespace

RunFolder::RunFolder(const fs::path& path, Existing existing, std::string_view to_resume) : path_(path) {
  if (existing == Existing::refuse && fs::exists(path) && holds_a_run(path))
    throw usage_error(
        fmt::format("\"{}\" already holds a run", path.string()),
        fmt::format("Go on with it: {}. Replace it: --overwrite-output-dir. Or choose another --output-dir.",
                    to_resume));
  make_folders(path);
  lock_ = ::open((path / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0)
    throw environment_error(fmt::format("cannot write in \"{}\": {}", path.string(), std::strerror(errno)),
                            "Choose another --output-dir, or change the folder's permissions.");
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw environment_error(fmt::format("another process is training in \"{}\"", path.string()),
                            "Wait until it is done, or choose another --output-dir.");
  }
  remove_unfinished(path);
  if (existing == Existing::replace && holds_a_run(path)) remove_run(path);
}

fs::path RunFolder::average_model(double halflife) const {
  return path_ / "ema" / fmt::format("halflife-{:g}", halflife);
}

RunFolder::~RunFolder() {
  ::unlink((path_ / ".lock").c_str());
  ::close(lock_);
}

void RunFolder::prune_checkpoints(int64_t keep) const {
  const auto steps = checkpoint_steps(path_);
  const auto excess = std::max<int64_t>(static_cast<int64_t>(steps.size()) - keep, 0);
  for (int64_t i = 0; i < excess; ++i) {
    // Renamed first, so that a kill in the middle cannot leave a half-deleted folder that looks like a checkpoint.
    const fs::path doomed = path_ / fmt::format(".unfinished-delete-{}", steps[i]);
    std::error_code ec;
    fs::rename(checkpoint(steps[i]), doomed, ec);
    if (!ec) fs::remove_all(doomed, ec);
  }
}

std::optional<fs::path> newest_grid(const fs::path& run) {
  if (fs::exists(run / "grid.png")) return run / "grid.png";
  std::optional<fs::path> newest;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(run / "samples", ec))
    if (entry.path().extension() == ".png" && (!newest || entry.path().filename() > newest->filename()))
      newest = entry.path();
  return newest;
}

std::vector<int64_t> checkpoint_steps(const fs::path& run) {
  std::vector<int64_t> steps;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(run, ec))
    if (const auto step = step_of(entry.path()); step && entry.is_directory()) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<fs::path> find_checkpoint(const fs::path& run, const std::string& which) {
  const auto steps = checkpoint_steps(run);
  if (which == "latest") {
    if (steps.empty()) return std::nullopt;
    return run / fmt::format("{}{}", kPrefix, steps.back());
  }
  for (const fs::path& candidate : {run / fs::path(which), fs::path(which)})
    if (fs::is_directory(candidate)) return candidate;
  throw usage_error(fmt::format("--resume-from-checkpoint: there is no \"{}\"", which),
                    steps.empty() ? fmt::format("\"{}\" holds no checkpoints.", run.string())
                                  : fmt::format("\"{}\" holds the checkpoints of these steps: {}.", run.string(),
                                                fmt::join(steps, ", ")));
}

}  // namespace unnoise
