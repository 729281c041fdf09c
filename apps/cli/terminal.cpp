#include "apps/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace unnoise::cli {
namespace {

int descriptor(Stream stream) { return stream == Stream::out ? STDOUT_FILENO : STDERR_FILENO; }

/// The value of an environment variable, "" when it is not set.
std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// Decodes the character at the start of `text` and removes it; a malformed byte becomes U+FFFD, as terminals show it.
char32_t take_character(std::string_view& text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) < 0x80 ? 1 : byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : byte(0) >= 0xc0 ? 2 : 1;
  char32_t character = length == 1 ? byte(0) : byte(0) & (0x7fu >> length);
  size_t taken = 1;
  for (; taken < length && taken < text.size() && (byte(taken) & 0xc0) == 0x80; ++taken)
    character = character << 6 | (byte(taken) & 0x3fu);
  const bool malformed = taken < length || (byte(0) >= 0x80 && length == 1) || byte(0) >= 0xf8;
  text.remove_prefix(malformed ? 1 : taken);
  return malformed ? 0xfffd : character;
}

size_t character_width(char32_t c) {
  const auto in = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  if (c < 0x20 || in(0x7f, 0x9f) || in(0x300, 0x36f) || in(0x200b, 0x200f) || in(0xfe00, 0xfe0f)) return 0;
  const bool wide = in(0x1100, 0x115f) || in(0x2e80, 0xa4cf) || in(0xac00, 0xd7a3) || in(0xf900, 0xfaff) ||
                    in(0xfe30, 0xfe6f) || in(0xff00, 0xff60) || in(0xffe0, 0xffe6) || in(0x1f300, 0x1f9ff) ||
                    in(0x20000, 0x3fffd);
  return wide ? 2 : 1;
}

}  // namespace

bool is_terminal(Stream stream) { return ::isatty(descriptor(stream)) == 1; }

bool can_redraw(Stream stream) { return is_terminal(stream) && environment("TERM") != "dumb"; }

size_t terminal_columns(Stream stream) {
  winsize size{};
  if (is_terminal(stream) && ::ioctl(descriptor(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const long columns = std::atol(std::string(environment("COLUMNS")).c_str());
  return columns > 0 && columns < 10000 ? static_cast<size_t>(columns) : 80;
}

bool shows_unicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value(environment(name));
    if (value.empty()) continue;
    std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::tolower(c); });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

std::string styled(std::string_view text, Style style, Stream stream) {
  if (!can_redraw(stream) || !environment("NO_COLOR").empty()) return std::string(text);
  constexpr std::array<std::pair<Style, const char*>, 5> kCodes = {
      {{Style::bold, "1"}, {Style::red, "1;31"}, {Style::yellow, "33"}, {Style::cyan, "36"}, {Style::dim, "2"}}};
  const auto* code =
      std::find_if(kCodes.begin(), kCodes.end(), [&](const auto& entry) { return entry.first == style; });
  return std::string("\x1b[") + code->second + "m" + std::string(text) + "\x1b[0m";
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) width += character_width(take_character(text));
  return width;
}

std::string truncated(std::string_view text, size_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  const std::string_view ellipsis = shows_unicode() ? "…" : "...";
  if (columns <= display_width(ellipsis))
    return std::string(ellipsis.substr(0, shows_unicode() ? ellipsis.size() : columns));
  size_t room = columns - display_width(ellipsis);
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view next = rest;
    const size_t width = character_width(take_character(next));
    if (width > room) break;
    room -= width;
    rest = next;
  }
  return std::string(text.substr(0, text.size() - rest.size())).append(ellipsis);
}

std::string wrapped(std::string_view text, size_t columns, size_t indent) {
  std::string out;
  size_t used = 0;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, blank);
    text.remove_prefix(std::min(blank + 1, text.size()));
    const size_t width = display_width(word);
    if (used > 0 && used + 1 + width > columns) {
      out += "\n" + std::string(indent, ' ');
      used = 0;
    } else if (used > 0) {
      out += ' ';
      ++used;
    }
    out += word;
    used += width;
  }
  return out;
}

void write_error(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace unnoise::cli
