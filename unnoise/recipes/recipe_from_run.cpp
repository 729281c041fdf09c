// The recipe of a run that exists; declared in recipe_run.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/recipes/recipe_data.h"
#include "unnoise/recipes/recipe_run.h"
#include "unnoise/recipes/run_summary.h"

namespace unnoise {
namespace {

/// What a network's file held, as the run saved it: keys of a UNet2DModel that differ from the defaults, less the size
/// of the pictures, which is an option of training.
Json written_out_network(const TrainOptions& options, const fs::path& folder) {
  const std::string source = options.model_config_name_or_path.value_or("");
  const auto presets = unet2d_preset_names();
  const bool is_file =
      !source.empty() && !source.starts_with('{') && std::find(presets.begin(), presets.end(), source) == presets.end();
  if (!is_file) return nullptr;
  const Json saved = load_component_config(folder, "unet"), defaults = to_json(UNet2DOptions{});
  Json network = Json::object();
  for (const auto& [key, value] : saved.items())
    if (defaults.contains(key) && key != "sample_size" && value != defaults.at(key)) network[key] = value;
  return network;
}

/// Threads and versions, as the run noted them at its end.
void take_machine(const fs::path& folder, Recipe& recipe) {
  if (!fs::exists(folder / "run.json")) return;
  const Json run = read_json(folder / "run.json");
  if (const Json threads = run.value("threads", Json()); threads.is_number_integer()) recipe.train["threads"] = threads;
  recipe.made_with = run.value("made_with", Json::object());
}

}  // namespace

Recipe recipe_from_run(const fs::path& folder, const Observer& observer) {
  if (fs::exists(folder / "recipe.json")) return read_recipe(folder / "recipe.json");
  const RunSummary run = read_run(folder);
  TrainOptions options;
  assign_json(options, run.options, fmt::format("\"{}\"", (folder / "options.json").string()), UnknownKeys::ignore);
  options.train_batch_size *= options.num_processes.value_or(1);  // a recipe is for one process
  Recipe recipe = recipe_from_options(options, written_out_network(options, folder));
  recipe.name = run.name;
  recipe.description = fmt::format("{} steps on {}", run.steps, recipe.data.source);
  if (run.result.seconds) recipe.budget_minutes = std::max(0.1, std::ceil(*run.result.seconds / 6) / 10);
  take_machine(folder, recipe);
  check_and_record_data(recipe, DataCheck::record, observer);
  return recipe;
}

std::string write_recipe_from_run(const std::string& folder, const std::optional<std::string>& file,
                                  const Observer& observer) {
  const Json json = to_json(recipe_from_run(folder, observer));
  if (file) write_json(*file, json);
  return dump_json(json);
}

}  // namespace unnoise
