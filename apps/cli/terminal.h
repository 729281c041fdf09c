// What the program knows about the terminal it talks to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace unnoise::cli {

enum class Stream { out, error };  ///< standard output and standard error

bool is_terminal(Stream stream);
/// A terminal that can redraw a line: not TERM=dumb.
bool can_redraw(Stream stream);
/// Columns of the terminal, else $COLUMNS, else 80.
size_t terminal_columns(Stream stream);
/// The locale's character set is UTF-8, so that block characters may be drawn.
bool shows_unicode();

enum class Style { bold, red, yellow, cyan, dim };
/// `text` in that style when `stream` is a terminal and NO_COLOR is not set (https://no-color.org), else as it is.
std::string styled(std::string_view text, Style style, Stream stream);

/// Columns that UTF-8 `text` takes: wide characters count 2, combining ones 0.
size_t display_width(std::string_view text);
/// `text` in at most `columns`; what is cut off becomes an ellipsis.
std::string truncated(std::string_view text, size_t columns);
/// `text` broken at blanks into lines of at most `columns` (longer words stay whole), joined by a newline and `indent`
/// blanks.
std::string wrapped(std::string_view text, size_t columns, size_t indent);

/// Writes all of `text`, unbuffered; errors are ignored, for there is nowhere left to report them.
void write_error(std::string_view text);

}  // namespace unnoise::cli
