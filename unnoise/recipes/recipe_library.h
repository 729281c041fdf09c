// Where recipes are: files that the user names, and the recipe book that comes with the program.
#pragma once

#include <string>
#include <vector>

#include "unnoise/recipes/recipe.h"

namespace unnoise {

using RecipeFolders = std::vector<fs::path>;  ///< searched in order for NAME.json

/// A recipe file, a run folder with a recipe.json, or the name of a recipe in `folders`. Error::usage that suggests the
/// nearest name when it is none of these.
fs::path find_recipe(const std::string& name_or_file, const RecipeFolders& folders);
Recipe load_recipe(const std::string& name_or_file, const RecipeFolders& folders);

/// The files of the book, in order of their names; the first of two with one name.
std::vector<fs::path> recipe_files(const RecipeFolders& folders);

/// For `unnoise recipe list`: a line a recipe. With `json` a list of objects.
std::string recipe_list(const RecipeFolders& folders, bool json);
/// For `unnoise recipe show`: the file as it is understood, and how it would be run.
std::string recipe_text(const std::string& name_or_file, const RecipeFolders& folders);

}  // namespace unnoise
