#include "apps/cli/progress.h"

#include "apps/cli/terminal.h"

namespace unnoise::cli {
namespace {

constexpr std::string_view kClearLine = "\r\x1b[K";
constexpr auto kRedrawEvery = std::chrono::milliseconds(100);

}  // namespace

ProgressDisplay::ProgressDisplay() : redraws_(can_redraw(Stream::error)), unicode_(shows_unicode()) {}

ProgressDisplay::~ProgressDisplay() { finish(); }

Observer ProgressDisplay::observer() {
  return {[this](const Progress& progress) { show(progress); },
          [this](LogLevel level, const std::string& line) {
            note(level == LogLevel::warning ? styled("warning:", Style::yellow, Stream::error) + " " + line : line);
          }};
}

void ProgressDisplay::note(std::string_view line) {
  const std::lock_guard lock(mutex_);
  write_error((on_screen_ ? std::string(kClearLine) : std::string()).append(line).append("\n"));
  if (on_screen_) redraw();
}

void ProgressDisplay::finish() {
  const std::lock_guard lock(mutex_);
  if (!on_screen_) return;
  redraw();
  write_error("\n");
  on_screen_ = false;
}

void ProgressDisplay::show(const Progress& progress) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (!redraws_) {
    if (pace_.due(progress, std::chrono::duration<double>(now - start_).count()))
      write_error(plain_progress(progress) + "\n");
    return;
  }
  const bool soon =
      on_screen_ && now - drawn_at_ < kRedrawEvery && progress.stage == stage_ && progress.done != progress.total;
  stage_ = progress.stage;
  last_ = progress;
  last_.stage = stage_;
  if (soon) return;
  drawn_at_ = now;
  redraw();
}

void ProgressDisplay::redraw() {
  // One column stays free: terminals wrap when the last one is written.
  const size_t columns = terminal_columns(Stream::error);
  write_error("\r" + bar_progress(last_, columns > 1 ? columns - 1 : 1, unicode_) + "\x1b[K");
  on_screen_ = true;
}

}  // namespace unnoise::cli
