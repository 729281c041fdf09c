#include "unnoise/recipes/recipe_data.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/data/content_hash.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {

void check_and_record_data(Recipe& recipe, DataCheck check, const Observer& observer) {
  const auto data = open_dataset({.path_or_name = recipe.data.source});
  const int64_t count = data->size();
  std::string differs;
  if (recipe.data.count && *recipe.data.count != count)
    differs = fmt::format("the recipe was made with {} pictures, \"{}\" holds {}", human_count(*recipe.data.count),
                          recipe.data.source, human_count(count));
  const std::string hash = content_hash(*data, observer);
  if (differs.empty() && recipe.data.hash && *recipe.data.hash != hash)
    differs = fmt::format("\"{}\" does not hold the pictures that the recipe was made with: expected {}, found {}",
                          recipe.data.source, *recipe.data.hash, hash);
  if (!differs.empty() && check == DataCheck::refuse)
    throw data_error(
        differs,
        "Get the recipe's data, or run it on these with --any-data (unnoise train --recipe: name them with "
        "--train-data-dir).");
  if (!differs.empty()) observer.warn(differs);
  recipe.data.count = count;
  recipe.data.hash = hash;
}

}  // namespace unnoise
