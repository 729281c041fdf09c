// From "--vary lr=1e-4,4e-4 --vary batch=16,32" to the settings that a sweep tries.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "unnoise/recipes/recipe.h"

namespace unnoise {

struct Variation {
  std::string setting;              ///< as the recipe knows it: "learning_rate"
  std::vector<std::string> values;  ///< as after a flag
};

/// From the pieces between commas: {"lr=1e-4", "4e-4", "batch=16", "32"}; commas inside brackets belong to a value.
/// Error::usage for a setting that there is not, one that is named twice, a value given twice, or none.
std::vector<Variation> parse_variations(const std::vector<std::string>& pieces);

/// A value of each variation.
using Choice = std::vector<std::pair<std::string, std::string>>;
/// Every combination; the last variation changes fastest. Error::usage when there are more than 1000.
std::vector<Choice> all_choices(const std::vector<Variation>& variations);

/// The recipe with the choice made.
Recipe varied(const Recipe& recipe, const Choice& choice);
/// "learning_rate=1e-4 train_batch_size=16"
std::string choice_text(const Choice& choice);

}  // namespace unnoise
