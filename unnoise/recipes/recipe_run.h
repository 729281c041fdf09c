// Run a recipe from its data to its grid of samples, and make a recipe of a run.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <tuple>

#include "unnoise/core/fields.h"
#include "unnoise/core/observer.h"
#include "unnoise/recipes/job.h"
#include "unnoise/recipes/recipe_library.h"

namespace unnoise {

struct RecipeRunOptions {
  std::optional<std::string> output_dir;
  bool overwrite_output_dir = false;
  bool resume = false;
  std::optional<double> budget_minutes;
  bool any_data = false;
  int64_t held_out_images = 128;
  std::optional<std::string> device;
  std::optional<int64_t> threads;

  static constexpr auto fields() {
    using O = RecipeRunOptions;
    return std::tuple{
        field("output_dir", &O::output_dir, "run folder; default: runs/NAME"),
        field("overwrite_output_dir", &O::overwrite_output_dir, "replace an earlier run in that folder"),
        field("resume", &O::resume, "go on exactly where a run in that folder was stopped"),
        field("budget_minutes", &O::budget_minutes,
              "train for as many steps as fit into this time on this machine, instead of the recipe's own number"),
        field("any_data", &O::any_data, "run although the pictures are not those that the recipe was made with"),
        field("held_out_images", &O::held_out_images,
              "pictures for the loss on held-out data that runs are compared by; 0 = do not measure it"),
        field("device", &O::device, "auto, cpu or cuda; default: as the recipe says, else auto"),
        field("threads", &O::threads, "processor threads; default: as the recipe says, else all physical cores"),
    };
  }
};

struct RecipeRunResult {
  JobStatus status = JobStatus::done;
  std::string report;  ///< text, ready to print
};

/// Trains, draws the recipe's grid (grid.png), measures, and writes recipe.json and result.json into the run folder.
/// The same recipe on the same machine gives the same losses in log.jsonl, exactly. Error::data when the pictures are
/// not the recipe's; Error::usage when the budget is too small for one step.
RecipeRunResult run_recipe(const std::string& recipe, const RecipeFolders& folders, const RecipeRunOptions& options,
                           const Observer& observer = {}, std::stop_token stop = {});

/// What `unnoise train --recipe` starts from. Pictures are checked when the run is to use the recipe's own.
TrainOptions recipe_train_options(const std::string& recipe, const RecipeFolders& folders);
void check_recipe_data(const std::string& recipe, const RecipeFolders& folders, const TrainOptions& options,
                       const Observer& observer = {});

/// The recipe of a run that exists: all its options, its network written out, its pictures counted and hashed.
/// Error::data when the folder holds no run.
Recipe recipe_from_run(const fs::path& folder, const Observer& observer = {});
/// For `unnoise recipe from-run`: its text; written to `file` when there is one.
std::string write_recipe_from_run(const std::string& folder, const std::optional<std::string>& file,
                                  const Observer& observer = {});

}  // namespace unnoise
