// "--name value" on the command line of an example, by the table of its options (unnoise/core/fields.h).
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/core/fields.h"

namespace examples {

/// Sets the fields that the command line names. False when it asked for help, which has then been printed. Throws
/// Error::usage.
template <unnoise::HasFields Options>
bool read_arguments(Options& options, int argc, char** argv) {
  const auto rows = unnoise::option_rows(options);
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--help" || word == "-h") {
      for (const auto& row : rows)
        fmt::print("  {:<28} {}{}\n", row.flag() + " " + row.kind, row.help,
                   row.default_text.empty() ? "" : fmt::format(" [{}]", row.default_text));
      return false;
    }
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.flag() == word; });
    if (row == rows.end()) throw unnoise::usage_error(fmt::format("there is no option \"{}\"", word), "See --help.");
    if (row->is_switch) {
      row->set("true");
    } else {
      if (i + 1 == argc) throw unnoise::usage_error(fmt::format("{} needs a value", word), "See --help.");
      row->set(argv[++i]);
    }
  }
  return true;
}

}  // namespace examples
