#include "apps/cli/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "apps/cli/arguments.h"

namespace unnoise::cli {
namespace {

/// Every flag of a command, with --options and --help.
std::vector<std::string> flags(const Command& command) {
  std::vector<std::string> out;
  for (const auto& row : command.options) {
    out.push_back(row.flag());
    if (takes_no_value(row)) out.push_back("--no-" + row.flag().substr(2));
  }
  if (!command.options.empty()) out.push_back("--options");
  out.push_back("--help");
  return out;
}

/// The branch of bash's `case $previous` for each flag that takes a value.
std::string bash_values(const Command& command) {
  std::string out;
  std::vector<std::string> files = {"--options"}, free;
  for (const auto& row : command.options) {
    if (takes_no_value(row)) continue;
    if (!row.choices.empty())
      out += fmt::format("        {}) _unnoise_words \"{}\"; return ;;\n", row.flag(), fmt::join(row.choices, " "));
    else
      (row.kind == "TEXT" ? files : free).push_back(row.flag());
  }
  out += fmt::format("        {}) _unnoise_files; return ;;\n", fmt::join(files, "|"));
  if (!free.empty()) out += fmt::format("        {}) return ;;\n", fmt::join(free, "|"));
  return out;
}

/// The branch of bash's `case` for a command whose name is word number `word` of the line.
std::string bash_command(const Command& command, int word) {
  std::string out = fmt::format("    {})\n", command.last_name());
  if (!command.subcommands.empty()) {
    std::vector<std::string_view> names;
    for (const Command& each : command.subcommands) names.push_back(each.last_name());
    out += fmt::format("      if ((COMP_CWORD == {})); then _unnoise_words \"{} --help\"; return; fi\n", word + 1,
                       fmt::join(names, " "));
    out += fmt::format("      case ${{COMP_WORDS[{}]}} in\n", word + 1);
    for (const Command& each : command.subcommands) out += bash_command(each, word + 1);
    return out + "      esac ;;\n";
  }
  if (!command.options.empty()) out += "      case $previous in\n" + bash_values(command) + "      esac\n";
  return out + fmt::format("      _unnoise_words \"{}{}{}\" ;;\n", fmt::join(command.arguments, " "),
                           command.arguments.empty() ? "" : " ", fmt::join(flags(command), " "));
}

/// Text inside single quotes and brackets of a zsh _arguments specification.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (c == '[' || c == ']' || c == ':' || c == '\\')
      (out += '\\') += c;
    else
      out += c;
  }
  return out;
}

std::string zsh_option(const OptionRow& row) {
  const std::string help = zsh_text(row.help);
  if (takes_no_value(row)) {
    const std::string off = "--no-" + row.flag().substr(2);
    return fmt::format("        '{}[{}]' \\\n        '{}[not: {}]' \\\n", row.flag(), help, off, help);
  }
  const std::string values = !row.choices.empty() ? fmt::format("({})", fmt::join(row.choices, " "))
                             : row.kind == "TEXT" ? "_files"
                                                  : " ";
  return fmt::format("        '{}=[{}]:{}:{}' \\\n", row.flag(), help, zsh_text(row.kind), values);
}

/// A choice between commands, for the shell's word after the one before.
std::string zsh_commands(Commands commands);

std::string zsh_command(const Command& command) {
  std::string out = fmt::format("    {})\n", command.last_name());
  if (!command.subcommands.empty()) return out + zsh_commands(command.subcommands) + "      ;;\n";
  out += "      _arguments \\\n";
  for (const auto& row : command.options) out += zsh_option(row);
  if (!command.options.empty()) out += "        '--options=[JSON with options]:FILE:_files' \\\n";
  if (!command.arguments.empty()) out += fmt::format("        '1:what:({})' \\\n", fmt::join(command.arguments, " "));
  return out + "        '--help[explain the command]' ;;\n";
}

std::string zsh_commands(Commands commands) {
  std::string out = "  commands=(\n";
  for (const Command& command : commands)
    out += fmt::format("    '{}:{}'\n", command.last_name(), zsh_text(command.summary));
  out += R"sh(  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
)sh";
  for (const Command& command : commands) out += zsh_command(command);
  return out + "  esac\n";
}

}  // namespace

std::string bash_completion(Commands commands) {
  std::vector<std::string_view> names;
  for (const Command& command : commands) names.push_back(command.name);
  std::string out = fmt::format(R"sh(# bash completion for unnoise. Put this line into ~/.bashrc:
#   eval "$(unnoise completion bash)"
_unnoise_words() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }}
_unnoise_files() {{ compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); }}
_unnoise() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  if [[ $current == "=" ]]; then current=
  elif [[ $previous == "=" ]]; then previous=${{COMP_WORDS[COMP_CWORD-2]}}; fi
  [[ $previous == --* ]] && previous=${{previous//_/-}}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then _unnoise_words "{} --help --version"; return; fi
  case ${{COMP_WORDS[1]}} in
)sh",
                                fmt::join(names, " "));
  for (const Command& command : commands) out += bash_command(command, 1);
  return out + "  esac\n}\ncomplete -F _unnoise unnoise\n";
}

std::string zsh_completion(Commands commands) {
  return R"sh(#compdef unnoise
# zsh completion for unnoise. Put this line into ~/.zshrc, after compinit:
#   eval "$(unnoise completion zsh)"
_unnoise() {
  local -a commands
  local command
)sh" + zsh_commands(commands) +
         R"sh(}
if [[ $funcstack[1] == _unnoise ]]; then _unnoise "$@"; else compdef _unnoise unnoise; fi
)sh";
}

}  // namespace unnoise::cli
