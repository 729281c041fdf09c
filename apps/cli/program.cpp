#include "apps/cli/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "apps/cli/completion.h"
#include "apps/cli/errors.h"
#include "apps/cli/help.h"
#include "unnoise/core/error.h"
#include "unnoise/core/version.h"

namespace unnoise::cli {
namespace {

bool asks_for_help(const std::string& word) { return word == "--help" || word == "-h"; }

Command help_command(const std::vector<Command>& commands) {
  Command help{
      "help", "explain a command", "[COMMAND]", "", {{"Every option of training:", "unnoise help train"}}, {}, {}, {}};
  for (const Command& command : commands) help.arguments.emplace_back(command.name);
  help.run = [&commands](Arguments arguments) {
    if (arguments.empty()) {
      print(program_help(commands));
    } else {
      const auto [command, rest] = find_command(commands, arguments);
      const bool markdown = !rest.empty() && rest[0] == "--markdown";
      print(markdown ? command_reference(command) : command_help(command));
    }
    return kDone;
  };
  return help;
}

Command completion_command(const std::vector<Command>& commands) {
  Command completion{"completion",
                     "print a completion script for bash or zsh",
                     "bash|zsh",
                     "The script completes commands, flags, the values of flags and file names.",
                     {{"For bash, in ~/.bashrc:", "eval \"$(unnoise completion bash)\""},
                      {"For zsh, in ~/.zshrc after compinit:", "eval \"$(unnoise completion zsh)\""}},
                     {},
                     {"bash", "zsh"},
                     {}};
  completion.run = [&commands](Arguments arguments) {
    if (arguments.size() != 1 || (arguments[0] != "bash" && arguments[0] != "zsh"))
      throw usage_error("completion: expected bash or zsh", "unnoise completion bash");
    print(arguments[0] == "bash" ? bash_completion(commands) : zsh_completion(commands));
    return kDone;
  };
  return completion;
}

int dispatch(const std::vector<Command>& commands, const std::vector<std::string>& words) {
  if (words.empty() || asks_for_help(words[0])) {
    print(program_help(commands));
    return kDone;
  }
  if (words[0] == "--version") {
    print(std::string("unnoise ") + kVersion + "\n");
    return kDone;
  }
  if (words[0].starts_with("-"))
    throw usage_error("expected a command before \"" + words[0] + "\"",
                      "unnoise COMMAND [options]; \"unnoise help\" lists the commands.");
  const auto [command, arguments] = find_command(commands, words);
  if (std::any_of(arguments.begin(), arguments.end(), asks_for_help) ||
      (!command.subcommands.empty() && arguments.empty())) {
    print(command_help(command));
    return kDone;
  }
  if (!command.subcommands.empty())
    throw usage_error(fmt::format("{}: expected a command before \"{}\"", command.name, arguments[0]),
                      fmt::format("\"unnoise help {}\" lists them.", command.name));
  return command.run(arguments);
}

}  // namespace

int run_program(std::vector<Command> commands, const std::vector<std::string>& words) {
  try {
    commands.push_back(completion_command(commands));
    commands.push_back(help_command(commands));
    return dispatch(commands, words);
  } catch (...) {
    return report_failure(std::current_exception());
  }
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw environment_error(std::string("cannot write to standard output: ") + std::strerror(errno));
}

}  // namespace unnoise::cli
