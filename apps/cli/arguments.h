// From the words of a command line to an options struct, by its field table.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/command.h"
#include "unnoise/core/json.h"

namespace unnoise::cli {

/// What was given, in the order of the table; nothing is converted yet.
struct GivenFlags {
  std::optional<std::string> options_file;             ///< --options FILE
  std::vector<std::pair<size_t, std::string>> values;  ///< row number and text; a switch gives "true" or "false"
};

/// A row whose value is a switch: --flag, --no-flag, --flag=false.
bool takes_no_value(const OptionRow& row);

/// Splits the words into flags and values. Flags may be spelled with dashes or underscores, values as "--x 3" or
/// "--x=3"; the last one counts. Throws Error::usage for an unknown flag (naming the nearest), a missing value, a stray
/// word.
GivenFlags parse_flags(std::string_view command, const std::vector<OptionRow>& rows, Arguments arguments);

/// Sets one option; an error about its value says what the flag is for.
void set_option(const OptionRow& row, const std::string& text);

/// Defaults, then the JSON file of --options, then the flags.
template <HasFields T>
T parse_options(std::string_view command, Arguments arguments) {
  T options;
  const auto rows = option_rows(options);
  const auto given = parse_flags(command, rows, arguments);
  if (given.options_file)
    assign_json(options, read_json(*given.options_file), fmt::format("\"{}\"", *given.options_file));
  for (const auto& [row, text] : given.values) set_option(rows[row], text);
  return options;
}

}  // namespace unnoise::cli
