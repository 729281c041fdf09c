#include "unnoise/recipes/recipe_run.h"

#include <fmt/format.h>

#include <array>

#include "unnoise/core/error.h"
#include "unnoise/core/version.h"
#include "unnoise/data/content_hash.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/recipes/finish_run.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/recipe_data.h"
#include "unnoise/recipes/run_folder.h"
#include "unnoise/recipes/step_budget.h"
#include "unnoise/recipes/train.h"

namespace unnoise {
namespace {

std::string run_report(const RunSummary& run, const fs::path& folder) {
  const auto row = [](std::string_view what, const std::string& value) {
    return fmt::format("{:<10} {}\n", what, value);
  };
  std::string text = row("steps", human_count(run.steps));
  if (const auto loss = run.number("loss")) text += row("loss", fmt::format("{:.4f} (smoothed)", *loss));
  if (run.result.held_out)
    text += row("held-out",
                fmt::format("{:.4f} (error of the noise on {} {} pictures)", run.result.held_out->mean,
                            run.result.held_out->num_images, run.result.held_out->unseen ? "unseen" : "training"));
  for (const auto& [name, number] : run.quality())
    text += row(name, fmt::format("{}, {} pictures", estimate_text(number.estimate), human_count(number.num_images)));
  if (run.result.seconds)
    text += row("time", human_seconds(*run.result.seconds) +
                            (run.result.cpu_seconds
                                 ? fmt::format(" ({} of processor time)", human_seconds(*run.result.cpu_seconds))
                                 : ""));
  if (run.result.peak_memory_bytes)
    text += row("memory", human_bytes(static_cast<double>(*run.result.peak_memory_bytes)));
  text += row("samples", (folder / "grid.png").string());
  return text + row("again", fmt::format("unnoise recipe run {}", (folder / "recipe.json").string()));
}

/// A resumed run has the steps that it began with.
void take_steps_of(const fs::path& folder, Recipe& recipe) {
  const fs::path file = folder / "options.json";
  if (!fs::exists(file)) return;
  const Json saved = read_json(file).value("max_train_steps", Json());
  if (!saved.is_null()) recipe.train["max_train_steps"] = saved;
}

}  // namespace

RecipeRunResult run_recipe(const std::string& name, const RecipeFolders& folders, const RecipeRunOptions& options,
                           const Observer& observer, std::stop_token stop) {
  Recipe recipe = load_recipe(name, folders);
  if (options.threads) recipe.train["threads"] = *options.threads;
  if (options.device) recipe.train["device"] = *options.device;
  const fs::path folder = options.output_dir.value_or("runs/" + recipe.name);

  TrainOptions training = train_options(recipe);
  training.output_dir = folder.string();
  training.overwrite_output_dir = options.overwrite_output_dir;
  if (options.resume) training.resume_from_checkpoint = "latest";
  const auto minutes = options.budget_minutes || states_steps(recipe) ? options.budget_minutes : recipe.budget_minutes;
  plan_training(training, {});  // what cannot work is said before the folder is made
  check_and_record_data(recipe, options.any_data ? DataCheck::record : DataCheck::refuse, observer);
  if (!options.resume && !options.overwrite_output_dir) RunFolder(folder, RunFolder::Existing::refuse, "--resume");
  if (options.resume) take_steps_of(folder, recipe);
  const bool goes_on = options.resume && train_options(recipe).max_train_steps;
  if (minutes && !goes_on) {
    const int64_t steps = steps_in_budget(training, *minutes, observer, stop);
    if (steps == 0) return {JobStatus::interrupted, ""};
    recipe.train["max_train_steps"] = steps;
  }
  training.max_train_steps = train_options(recipe).max_train_steps;

  reset_peak_memory();
  if (train(training, observer, stop) == JobStatus::interrupted) return {JobStatus::interrupted, ""};
  RunResult result = read_run(folder).result;
  result.held_out = held_out_of(training, folder, options.held_out_images, observer, stop);
  finish_run(recipe, result, folder, observer, stop);
  if (stop.stop_requested()) return {JobStatus::interrupted, ""};
  return {JobStatus::done, run_report(read_run(folder), folder)};
}

TrainOptions recipe_train_options(const std::string& recipe, const RecipeFolders& folders) {
  return train_options(load_recipe(recipe, folders));
}

void check_recipe_data(const std::string& name, const RecipeFolders& folders, const TrainOptions& options,
                       const Observer& observer) {
  Recipe recipe = load_recipe(name, folders);
  if (options.dataset_name || options.train_data_dir != recipe.data.source) return;  // the user's own choice
  check_and_record_data(recipe, DataCheck::refuse, observer);
}

}  // namespace unnoise
