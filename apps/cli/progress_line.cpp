#include "apps/cli/progress_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "apps/cli/terminal.h"

namespace unnoise::cli {
namespace {

constexpr size_t kWidestBar = 24, kNarrowestBar = 8;

double fraction(const Progress& progress) {
  return std::clamp(static_cast<double>(progress.done) / static_cast<double>(progress.total), 0.0, 1.0);
}

std::string bar(double part, size_t width, bool unicode) {
  std::string out;
  if (!unicode) {
    const auto full = static_cast<size_t>(part * static_cast<double>(width - 2));
    return "[" + std::string(full, '#') + std::string(width - 2 - full, '-') + "]";
  }
  constexpr std::array<const char*, 8> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<size_t>(part * 8 * static_cast<double>(width));
  for (size_t i = 0; i < eighths / 8; ++i) out += "█";
  out += kEighths[eighths % 8];
  for (size_t used = (eighths + 7) / 8; used < width; ++used) out += "░";
  return out;
}

/// " 42%  420/1000"; without a total only what is done.
std::string counts(const Progress& progress) {
  if (progress.total <= 0) return fmt::format("{}", progress.done);
  const auto digits = std::to_string(progress.total).size();
  return fmt::format("{:3}%  {:>{}}/{}", static_cast<int>(std::floor(100 * fraction(progress))), progress.done, digits,
                     progress.total);
}

std::string rate(const Progress& progress) {
  if (progress.per_second <= 0) return "";
  return fmt::format("{:.{}f} pictures/s", progress.per_second, progress.per_second < 100 ? 1 : 0);
}

std::string left(const Progress& progress) {
  const bool known = progress.seconds_left >= 0 && progress.done != progress.total;
  return known ? duration(progress.seconds_left) + " left" : "";
}

std::string joined(std::initializer_list<std::string> parts) {
  std::string out;
  for (const auto& part : parts)
    if (!part.empty()) out += (out.empty() ? "" : "  ") + part;
  return out;
}

}  // namespace

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(std::min(std::round(std::max(seconds, 0.0)), 1e12));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}m {:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h {:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d {}h", s / 86400, s / 3600 % 24);
}

std::string plain_progress(const Progress& progress) {
  return joined({std::string(progress.stage), counts(progress), progress.detail, rate(progress), left(progress)});
}

std::string bar_progress(const Progress& progress, size_t columns, bool unicode) {
  const std::string stage(progress.stage), end = left(progress);
  std::string middle = joined({counts(progress), end, progress.detail, rate(progress)});
  if (display_width(stage) + 2 + display_width(middle) > columns)
    middle = joined({counts(progress), end, progress.detail});
  const size_t taken = display_width(stage) + display_width(middle) + 3;
  std::string line = stage;
  if (progress.total > 0 && taken + kNarrowestBar <= columns)
    line += " " + bar(fraction(progress), std::min(columns - taken, kWidestBar), unicode);
  return truncated(joined({line, middle}), columns);
}

bool PlainPace::due(const Progress& progress, double now_seconds) {
  const int64_t tenth = progress.total > 0 ? static_cast<int64_t>(std::floor(10 * fraction(progress))) : 0;
  const bool complete = progress.total > 0 && progress.done >= progress.total;
  const auto found = stages_.find(progress.stage);
  if (found == stages_.end() || progress.done < found->second.done) {  // a stage begins, perhaps once more
    stages_[std::string(progress.stage)] = {now_seconds, tenth, progress.done};
    return complete;
  }
  Stage& stage = found->second;
  const bool newly_complete = complete && stage.done < progress.total;
  stage.done = progress.done;
  const double waited = now_seconds - stage.printed_at;
  if (!newly_complete && (complete || waited < 10) && !(tenth != stage.tenth && waited >= 1)) return false;
  stage.printed_at = now_seconds;
  stage.tenth = tenth;
  return true;
}

}  // namespace unnoise::cli
