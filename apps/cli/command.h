// What a subcommand is: a name, words about it, the options it takes and a function to run.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/fields.h"

namespace unnoise::cli {

/// Exit codes of the program; 2 to 4 follow from the kind of an Error.
enum ExitCode : int { kDone = 0, kBug = 1, kUsage = 2, kData = 3, kEnvironment = 4, kInterrupted = 130 };

struct Example {
  std::string_view what;     ///< "Draw 16 pictures"
  std::string_view command;  ///< "unnoise sample --model my-model --num-images 16"
};

using Arguments = std::span<const std::string>;

struct Command {
  std::string_view name;
  std::string_view summary;      ///< one line for the list of commands
  std::string_view usage;        ///< what follows the name: "--model DIR [options]"
  std::string_view description;  ///< a paragraph or two for its own help
  std::vector<Example> examples;
  std::vector<OptionRow> options;      ///< for help and completion, with the defaults
  std::vector<std::string> arguments;  ///< words that may follow, for completion: "bash", "zsh"
  std::function<int(Arguments)> run;   ///< gives the exit code; may throw
  /// Of a group, which has no `run`: each has the group's name before its own, "data inspect".
  std::vector<Command> subcommands = {};

  /// "inspect" of "data inspect".
  std::string_view last_name() const { return name.substr(name.rfind(' ') + 1); }
};

using Commands = std::span<const Command>;

/// The rows of T's table with its defaults, to show and not to set.
template <HasFields T>
std::vector<OptionRow> shown_options() {
  T defaults;
  auto rows = option_rows(defaults);
  for (auto& row : rows) row.set = nullptr;
  return rows;
}

/// The command that the first words name, "train" or "data inspect", and the words after them. A group when no further
/// word follows, or one that is a flag. Throws Error::usage that suggests the nearest name; `words` has at least one.
struct FoundCommand {
  const Command& command;
  Arguments arguments;
};
FoundCommand find_command(Commands commands, Arguments words);

}  // namespace unnoise::cli
