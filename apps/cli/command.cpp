#include "apps/cli/command.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"

namespace unnoise::cli {

const Command& find_command(Commands commands, std::string_view name) {
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (command.name == name) return command;
    names.emplace_back(command.name);
  }
  const std::string near = nearest_name(name, names);
  throw usage_error(
      fmt::format("unknown command \"{}\"", name),
      near.empty() ? "\"unnoise help\" lists the commands." : fmt::format("Did you mean \"unnoise {}\"?", near));
}

}  // namespace unnoise::cli
