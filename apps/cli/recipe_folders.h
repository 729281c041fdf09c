// Where the recipe book lies that comes with the program.
#pragma once

#include <filesystem>
#include <vector>

namespace unnoise::cli {

/// In order: recipes/ beside the program and above it (a build folder in the sources), share/unnoise/recipes
/// (installed). Those that exist.
std::vector<std::filesystem::path> recipe_folders();

}  // namespace unnoise::cli
