#include "unnoise/recipes/recipe_library.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

std::string minutes_text(const Recipe& recipe) {
  if (!recipe.budget_minutes) return "-";
  return *recipe.budget_minutes < 1 ? fmt::format("{:.0f} s", *recipe.budget_minutes * 60)
                                    : fmt::format("{:g} min", *recipe.budget_minutes);
}

}  // namespace

std::vector<fs::path> recipe_files(const RecipeFolders& folders) {
  std::vector<fs::path> files;
  for (const fs::path& folder : folders) {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder, ec)) {
      const bool known = std::any_of(files.begin(), files.end(),
                                     [&](const fs::path& file) { return file.filename() == entry.path().filename(); });
      if (entry.path().extension() == ".json" && !known) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.filename() < b.filename(); });
  return files;
}

fs::path find_recipe(const std::string& name_or_file, const RecipeFolders& folders) {
  if (name_or_file.empty())
    throw usage_error("which recipe?", "\"unnoise recipe list\" lists those that come with it.");
  const fs::path path = name_or_file;
  std::error_code ec;
  if (fs::is_regular_file(path, ec)) return path;
  if (fs::is_regular_file(path / "recipe.json", ec)) return path / "recipe.json";
  std::vector<std::string> names;
  for (const fs::path& file : recipe_files(folders)) {
    names.push_back(file.stem().string());
    if (names.back() == name_or_file) return file;
  }
  const std::string near = nearest_name(name_or_file, names);
  throw usage_error(
      fmt::format("\"{}\" is neither a recipe file, nor a run's folder, nor a recipe by name", name_or_file),
      !near.empty()   ? fmt::format("Did you mean \"{}\"?", near)
      : names.empty() ? "No recipes are installed here: give a file."
                      : fmt::format("By name there are: {}.", fmt::join(names, ", ")));
}

Recipe load_recipe(const std::string& name_or_file, const RecipeFolders& folders) {
  return read_recipe(find_recipe(name_or_file, folders));
}

std::string recipe_list(const RecipeFolders& folders, bool json) {
  Json list = Json::array();
  std::string text;
  size_t widest = 0;
  std::vector<std::pair<std::string, Recipe>> recipes;
  for (const fs::path& file : recipe_files(folders)) {
    recipes.emplace_back(file.stem().string(), read_recipe(file));
    widest = std::max(widest, recipes.back().first.size());
  }
  if (recipes.empty())
    throw environment_error("no recipes are installed here", "They belong into share/unnoise/recipes beside bin/.");
  for (const auto& [name, recipe] : recipes) {
    list.push_back({{"name", name}, {"description", recipe.description}, {"data", recipe.data.source}});
    if (recipe.budget_minutes) list.back()["budget_minutes"] = *recipe.budget_minutes;
    text += fmt::format("{:<{}}  {:>7}  {}\n", name, widest, minutes_text(recipe), recipe.description);
  }
  return json ? dump_json(list) : text;
}

std::string recipe_text(const std::string& name_or_file, const RecipeFolders& folders) {
  return dump_json(to_json(load_recipe(name_or_file, folders)));
}

}  // namespace unnoise
