#include "unnoise/recipes/sweep_grid.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr size_t kMostRuns = 1000;
constexpr const char* kForm = "For example --vary lr=1e-4,4e-4 --vary batch=16,32.";

int64_t open_brackets(const std::string& text) {
  return std::count(text.begin(), text.end(), '[') - std::count(text.begin(), text.end(), ']');
}

}  // namespace

std::vector<Variation> parse_variations(const std::vector<std::string>& pieces) {
  if (pieces.empty()) throw usage_error("--vary: nothing to vary", kForm);
  std::vector<Variation> variations;
  bool in_brackets = false;
  for (const std::string& piece : pieces) {
    const size_t equals = piece.find('=');
    if (in_brackets) {
      variations.back().values.back() += "," + piece;
    } else if (equals != std::string::npos) {
      const std::string name = setting_name(piece.substr(0, equals));
      for (const Variation& other : variations)
        if (other.setting == name) throw usage_error(fmt::format("--vary: {} is named twice", name), kForm);
      variations.push_back({name, {piece.substr(equals + 1)}});
    } else if (variations.empty()) {
      throw usage_error(fmt::format("--vary: expected SETTING=VALUE,..., found \"{}\"", piece), kForm);
    } else {
      variations.back().values.push_back(piece);
    }
    in_brackets = open_brackets(variations.back().values.back()) > 0;
  }
  for (const auto& [setting, values] : variations)
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].empty()) throw usage_error(fmt::format("--vary: {} has an empty value", setting), kForm);
      if (std::find(values.begin(), values.begin() + static_cast<int64_t>(i), values[i]) !=
          values.begin() + static_cast<int64_t>(i))
        throw usage_error(fmt::format("--vary: {}={} is given twice", setting, values[i]));
    }
  return variations;
}

std::vector<Choice> all_choices(const std::vector<Variation>& variations) {
  std::vector<Choice> choices = {{}};
  for (const auto& [setting, values] : variations) {
    if (choices.size() * values.size() > kMostRuns)
      throw usage_error(fmt::format("--vary: more than {} combinations", kMostRuns), "Vary fewer settings at once.");
    std::vector<Choice> longer;
    for (const Choice& choice : choices)
      for (const std::string& value : values) {
        longer.push_back(choice);
        longer.back().emplace_back(setting, value);
      }
    choices = std::move(longer);
  }
  return choices;
}

Recipe varied(const Recipe& recipe, const Choice& choice) {
  Recipe result = recipe;
  // The network first: a key of it then changes the preset that was chosen.
  for (const auto& [setting, value] : choice)
    if (setting == "network") set_in_recipe(result, setting, value);
  for (const auto& [setting, value] : choice)
    if (setting != "network") set_in_recipe(result, setting, value);
  return result;
}

std::string choice_text(const Choice& choice) {
  std::string text;
  for (const auto& [setting, value] : choice) text += fmt::format("{}{}={}", text.empty() ? "" : " ", setting, value);
  return text;
}

}  // namespace unnoise
