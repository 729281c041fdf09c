// Options of training that may start from a recipe: --recipe NAME, and flags that win over it.
#pragma once

#include <algorithm>

#include "apps/cli/arguments.h"
#include "apps/cli/jobs.h"
#include "apps/cli/recipe_folders.h"

namespace unnoise::cli {

/// Defaults, or those of the recipe that a flag names, whose pictures are then checked; over them what was given. T is
/// TrainOptions or derives from it. A recipe named in a file of --options is only a note of where they came from.
template <class T>
T parse_options_with_recipe(std::string_view command, Arguments arguments, const Observer& observer) {
  T options;
  const auto rows = option_rows(options);
  const auto given = parse_flags(command, rows, arguments);
  set_options(options, rows, given);
  const bool named = std::any_of(given.values.begin(), given.values.end(),
                                 [&](const auto& value) { return rows[value.first].name == "recipe"; });
  if (!named || !options.recipe) return options;
  const std::string recipe = *options.recipe;
  static_cast<TrainOptions&>(options) = jobs().recipe_train_options(recipe, recipe_folders());
  const std::optional<std::string> name = options.recipe;
  set_options(options, rows, given);
  options.recipe = name;
  jobs().check_recipe_data(recipe, recipe_folders(), options, observer);
  return options;
}

}  // namespace unnoise::cli
