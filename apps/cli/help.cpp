#include "apps/cli/help.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "apps/cli/arguments.h"
#include "apps/cli/terminal.h"

namespace unnoise::cli {
namespace {

constexpr const char* kPurpose =
    "unnoise trains diffusion models on your pictures and draws new ones with them. Its model folders are those of "
    "diffusers, in both directions.";
constexpr const char* kSpellings = "Dashes and underscores both work: --output-dir, --output_dir.";
constexpr const char* kSwitches = " Switches are turned off by --no-NAME or --NAME=false.";
constexpr size_t kIndent = 2, kHelpColumn = 34, kWidest = 110;

size_t page_columns() { return std::clamp<size_t>(terminal_columns(Stream::out), 60, kWidest); }

std::string heading(std::string_view text) { return "\n" + styled(text, Style::bold, Stream::out) + "\n"; }

/// A command line that fits the page: broken before flags, with the backslashes that a shell wants.
std::string command_line(std::string_view command) {
  std::string out;
  size_t used = kIndent + 2;
  while (!command.empty()) {
    const size_t flag = std::min(command.find(" --", 1), command.size());
    const std::string_view part = command.substr(0, flag);
    command.remove_prefix(flag);
    if (used > kIndent + 2 && used + part.size() + 2 > page_columns()) {
      out += " \\\n       ";
      used = kIndent + 5;
    }
    out += part;
    used += part.size();
  }
  return out;
}

std::string examples_text(const std::vector<Example>& examples) {
  if (examples.empty()) return "";
  std::string out = heading("Examples");
  for (const auto& [what, command] : examples)
    out += fmt::format("  {}\n    {}\n", what, styled(command_line(command), Style::cyan, Stream::out));
  return out;
}

std::string row_text(const std::string& flag, const std::string& help) {
  const size_t columns = page_columns();
  const std::string left = std::string(kIndent, ' ') + flag;
  const std::string text = wrapped(help, columns - kHelpColumn, kHelpColumn);
  if (left.size() + 2 > kHelpColumn) return left + "\n" + std::string(kHelpColumn, ' ') + text + "\n";
  return left + std::string(kHelpColumn - left.size(), ' ') + text + "\n";
}

std::string option_text(const OptionRow& row) {
  std::string help = row.help;
  if (!row.choices.empty()) help += fmt::format("; one of {}", fmt::join(row.choices, ", "));
  if (!row.default_text.empty()) help += fmt::format(" (default: {})", row.default_text);
  return row_text(takes_no_value(row) ? row.flag() : row.flag() + " " + row.kind, help);
}

std::string command_list(Commands commands) {
  std::string out = heading("Commands");
  for (const Command& command : commands) out += fmt::format("  {:<12}{}\n", command.last_name(), command.summary);
  return out;
}

/// The tables of a command's options, or of each command of a group.
std::string reference_tables(const Command& command) {
  std::string out, section;
  for (const OptionRow& row : command.options) {
    if (row.section != section || &row == &command.options.front())
      out += fmt::format("\n## {}\n\n| option | default | what it does |\n| --- | --- | --- |\n",
                         row.section.empty() ? "Options" : row.section);
    section = row.section;
    const std::string choices = row.choices.empty() ? "" : fmt::format("; one of {}", fmt::join(row.choices, ", "));
    out += fmt::format("| `{}{}` | {} | {}{} |\n", row.flag(), takes_no_value(row) ? "" : " " + row.kind,
                       takes_no_value(row) ? "off" : row.default_text, row.help, choices);
  }
  for (const Command& each : command.subcommands)
    out += fmt::format("\n# `unnoise {}{}{}`\n\n{}.\n{}", each.name, each.usage.empty() ? "" : " ", each.usage,
                       each.summary, reference_tables(each));
  return out;
}

}  // namespace

std::string program_help(Commands commands) {
  std::string out = wrapped(kPurpose, page_columns(), 0) + "\n";
  out += heading("Usage") + "  unnoise COMMAND [options]\n" + command_list(commands);
  out += examples_text({
      {"Train on a folder of pictures and watch the samples in my-model/samples:",
       "unnoise train --train-data-dir my-pictures --resolution 64 --random-flip --use-ema --output-dir my-model"},
      {"Stop with Ctrl-C at any time; go on where it stopped:",
       "unnoise train --options my-model/options.json --resume-from-checkpoint latest"},
      {"Draw 16 pictures with it, on one sheet:", "unnoise sample --model my-model --num-images 16 --grid grid.png"},
      {"See what is inside a model:", "unnoise info --model my-model"},
  });
  return out + "\n\"unnoise help COMMAND\" explains a command and its options.\n";
}

std::string command_help(const Command& command) {
  std::string out = fmt::format("unnoise {}: {}\n", command.name, command.summary);
  out +=
      heading("Usage") + fmt::format("  unnoise {} {}\n", command.name,
                                     command.subcommands.empty() || !command.usage.empty() ? command.usage : "COMMAND");
  if (!command.description.empty()) out += "\n" + wrapped(command.description, page_columns(), 0) + "\n";
  if (!command.subcommands.empty()) out += command_list(command.subcommands);
  std::string section = "Options";
  bool first = true;
  for (const OptionRow& row : command.options) {
    const std::string title = row.section.empty() ? "Options" : row.section;
    if (first || title != section) out += heading(title);
    section = title;
    first = false;
    out += option_text(row);
  }
  if (!command.options.empty()) {
    out += heading("Options from a file") + row_text("--options FILE", "JSON with any of the above; flags win over it");
    const bool has_switch = std::any_of(command.options.begin(), command.options.end(), takes_no_value);
    out += "\n" + wrapped(std::string(kSpellings) + (has_switch ? kSwitches : ""), page_columns(), 0) + "\n";
  }
  out += examples_text(command.examples);
  if (!command.subcommands.empty())
    out += fmt::format("\n\"unnoise help {} COMMAND\" explains one of them.\n", command.name);
  return out;
}

std::string command_reference(const Command& command) {
  return fmt::format(
      "# Options of `unnoise {0}`\n\nMade by `unnoise help {0} --markdown`; a test compares the two.\n{1}",
      command.name, reference_tables(command));
}

}  // namespace unnoise::cli
