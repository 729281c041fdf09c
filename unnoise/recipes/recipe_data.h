// Whether the pictures are those that a recipe was made with.
#pragma once

#include "unnoise/core/observer.h"
#include "unnoise/recipes/recipe.h"

namespace unnoise {

enum class DataCheck {
  refuse,  ///< other pictures are an Error::data
  record,  ///< other pictures are a warning, and the recipe states them from now on
};

/// Opens the recipe's data, compares their count and content hash (data/content_hash.h) with what it states, and fills
/// in what it does not.
void check_and_record_data(Recipe& recipe, DataCheck check, const Observer& observer);

}  // namespace unnoise
