#include "apps/cli/arguments.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>

#include "unnoise/core/error.h"

namespace unnoise::cli {
namespace {

constexpr std::string_view kOptionsFlag = "--options";

std::string underscored(const std::string& name) { return "--" + name; }
std::string negated(std::string_view flag) { return "--no-" + std::string(flag.substr(2)); }

/// Every spelling of a row's flag for CLI11: "--center-crop,--center_crop,!--no-center-crop,!--no_center_crop".
std::string spellings(const OptionRow& row) {
  std::vector<std::string> names = {row.flag()};
  if (row.name.find('_') != std::string::npos) names.push_back(underscored(row.name));
  if (takes_no_value(row)) {
    names.push_back("!" + negated(row.flag()));
    names.push_back("!--no_" + row.name);
  }
  return fmt::format("{}", fmt::join(names, ","));
}

/// "--flag" of "--flag=3" and "--some_flag", in the spelling with dashes.
std::string flag_part(std::string_view word) {
  std::string flag(word.substr(0, word.find('=')));
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::vector<std::string> known_flags(const std::vector<OptionRow>& rows) {
  std::vector<std::string> flags = {"--help", std::string(kOptionsFlag)};
  for (const auto& row : rows) {
    flags.push_back(row.flag());
    if (takes_no_value(row)) flags.push_back(negated(row.flag()));
  }
  return flags;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// The nearest flag by spelling, else those that contain the word ("--epochs" finds "--num-epochs").
std::string suggestion(const std::string& flag, const std::vector<std::string>& known) {
  const std::string near = nearest_name(flag, known);
  if (!near.empty()) return fmt::format("Did you mean {}?", near);
  std::vector<std::string> related;
  if (flag.size() >= 5)
    for (const auto& candidate : known)
      if (candidate.find(flag.substr(2)) != std::string::npos && related.size() < 4) related.push_back(candidate);
  return related.empty() ? "" : fmt::format("Did you mean {}?", fmt::join(related, " or "));
}

Error unknown_word(std::string_view command, const std::string& word, const std::vector<std::string>& known) {
  const std::string all = fmt::format("\"unnoise {} --help\" lists the flags.", command);
  if (!word.starts_with("-"))
    return usage_error(fmt::format("unexpected word \"{}\"", word),
                       fmt::format("Options start with two dashes. {}", all));
  const std::string near = suggestion(flag_part(word), known);
  return usage_error(fmt::format("unknown flag \"{}\"", word.substr(0, word.find('='))), near.empty() ? all : near);
}

/// "--seed INT: decides the drips"
std::string reminder(const OptionRow& row) {
  return fmt::format("{}{}{}: {}", row.flag(), row.kind.empty() ? "" : " ", row.kind, row.help);
}

/// "--flag=3" becomes "--flag" "3" and "--switch false" becomes "--switch=false", so that empty values and values that
/// start with a dash are no puzzle for CLI11. A flag that stands where a value should is an error.
std::vector<std::string> normalised(const std::vector<OptionRow>& rows, Arguments arguments) {
  constexpr std::array<std::string_view, 9> kBooleans = {"true", "false", "yes", "no", "on", "off", "1", "0", "none"};
  const auto known = known_flags(rows);
  std::vector<std::string> words;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const std::string flag = flag_part(word);
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const OptionRow& r) { return r.flag() == flag; });
    const size_t equals = word.find('=');
    const bool has_value = equals != std::string::npos, is_last = i + 1 == arguments.size();
    const bool is_switch = row != rows.end() && takes_no_value(*row);
    if (is_switch && !has_value && !is_last && std::count(kBooleans.begin(), kBooleans.end(), arguments[i + 1]) > 0) {
      words.push_back(word + "=" + arguments[++i]);
    } else if (is_switch || (row == rows.end() && flag != kOptionsFlag)) {
      words.push_back(word);
    } else if (has_value) {
      words.insert(words.end(), {word.substr(0, equals), word.substr(equals + 1)});
    } else if (is_last || contains(known, flag_part(arguments[i + 1]))) {
      throw usage_error(flag + ": a value is missing", row != rows.end() ? reminder(*row) : "--options FILE");
    } else {
      words.insert(words.end(), {word, arguments[++i]});
    }
  }
  return words;
}

}  // namespace

bool takes_no_value(const OptionRow& row) { return row.is_switch || row.kind.empty(); }

GivenFlags parse_flags(std::string_view command, const std::vector<OptionRow>& rows, Arguments arguments,
                       PlainWords plain_words) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<CLI::Option*> options;
  for (const auto& row : rows) {
    CLI::Option* option = takes_no_value(row) ? app.add_flag(spellings(row)) : app.add_option(spellings(row));
    options.push_back(option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast));
  }
  CLI::Option* file = app.add_option(std::string(kOptionsFlag))->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);

  std::vector<std::string> words = normalised(rows, arguments);
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  try {
    app.parse(words);
  } catch (const CLI::Error& e) {
    throw usage_error(e.what(), fmt::format("\"unnoise {} --help\" explains the flags.", command));
  }
  const auto extras = app.remaining();
  const auto flag = std::find_if(extras.begin(), extras.end(), [](const auto& word) { return word.starts_with("-"); });
  if (flag != extras.end()) throw unknown_word(command, *flag, known_flags(rows));
  if (!extras.empty() && plain_words == PlainWords::refused)
    throw unknown_word(command, extras.front(), known_flags(rows));
  GivenFlags given;
  given.words = extras;
  if (file->count() > 0) given.options_file = file->results().back();
  for (size_t i = 0; i < rows.size(); ++i)
    if (options[i]->count() > 0) given.values.emplace_back(i, options[i]->results().back());
  return given;
}

void set_option(const OptionRow& row, const std::string& text) {
  try {
    row.set(text);
  } catch (const Error& e) {
    throw Error(e.kind(), e.message(), e.hint().empty() ? reminder(row) : e.hint());
  }
}

}  // namespace unnoise::cli
