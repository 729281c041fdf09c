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
  std::vector<std::string> words;                      ///< what is no flag and no flag's value
};

/// A row whose value is a switch: --flag, --no-flag, --flag=false.
bool takes_no_value(const OptionRow& row);

/// Whether a command takes words besides its flags: names of things.
enum class PlainWords { refused, taken };

/// Splits the words into flags and values. Flags may be spelled with dashes or underscores, values as "--x 3" or
/// "--x=3"; the last one counts. Throws Error::usage for an unknown flag (naming the nearest), a missing value, a stray
/// word.
GivenFlags parse_flags(std::string_view command, const std::vector<OptionRow>& rows, Arguments arguments,
                       PlainWords words = PlainWords::refused);

/// Sets one option; an error about its value says what the flag is for.
void set_option(const OptionRow& row, const std::string& text);

/// The JSON file of --options, then the flags.
template <HasFields T>
void set_options(T& options, const std::vector<OptionRow>& rows, const GivenFlags& given) {
  if (given.options_file)
    assign_json(options, read_json(*given.options_file), fmt::format("\"{}\"", *given.options_file));
  for (const auto& [row, text] : given.values) set_option(rows[row], text);
}

/// Defaults, then what was given.
template <HasFields T>
T parse_options(std::string_view command, Arguments arguments) {
  T options;
  const auto rows = option_rows(options);
  set_options(options, rows, parse_flags(command, rows, arguments));
  return options;
}

/// The same for options that have a list of `names`: words without a flag are added to it.
template <HasFields T>
T parse_options_and_names(std::string_view command, Arguments arguments) {
  T options;
  const auto rows = option_rows(options);
  const auto given = parse_flags(command, rows, arguments, PlainWords::taken);
  set_options(options, rows, given);
  options.names.insert(options.names.end(), given.words.begin(), given.words.end());
  return options;
}

}  // namespace unnoise::cli
