#include "apps/cli/command.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"

namespace unnoise::cli {
namespace {

const Command& named(Commands commands, std::string_view group, std::string_view name) {
  const std::string prefix = group.empty() ? "" : fmt::format("{} ", group);
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (command.last_name() == name) return command;
    names.emplace_back(command.last_name());
  }
  const std::string near = nearest_name(name, names);
  const std::string list = group.empty() ? "\"unnoise help\" lists the commands."
                                         : fmt::format("\"unnoise help {}\" lists its commands.", group);
  throw usage_error(fmt::format("unknown command \"{}{}\"", prefix, name),
                    near.empty() ? list : fmt::format("Did you mean \"unnoise {}{}\"?", prefix, near));
}

}  // namespace

FoundCommand find_command(Commands commands, Arguments words) {
  const Command* found = &named(commands, "", words[0]);
  Arguments rest = words.subspan(1);
  while (!found->subcommands.empty() && !rest.empty() && !rest[0].starts_with("-")) {
    found = &named(found->subcommands, found->name, rest[0]);
    rest = rest.subspan(1);
  }
  return {*found, rest};
}

}  // namespace unnoise::cli
