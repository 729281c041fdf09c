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

/// What a network's file held, as the run saved it; null where it was no file. The size of the pictures is an option of
/// training, where the run has it from there.
Json written_out_network(const TrainOptions& options, const fs::path& folder) {
  if (!is_network_file(options.model_config_name_or_path.value_or(""))) return nullptr;
  Json network = network_settings(load_component_config(folder, "unet"));
  if (options.resolution) network.erase("sample_size");
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
