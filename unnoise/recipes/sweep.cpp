#include "unnoise/recipes/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/recipes/compare.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/recipe_data.h"
#include "unnoise/recipes/sweep_queue.h"
#include "unnoise/recipes/train_plan.h"

namespace unnoise {
namespace {

/// The settings in the choice that change what the training loss measures.
std::vector<std::string> settings_of_loss(const std::vector<Variation>& variations) {
  std::vector<std::string> found;
  for (const std::string& name : field_names<TrainOptions>(FieldRole::loss))
    for (const auto& [setting, values] : variations)
      if (name == setting) found.push_back(name);
  return found;
}

/// Plans every run, so that a setting that makes none is found before the first step, and counts its steps.
void plan_runs(SweepState& state, const Observer& observer) {
  for (SweepRun& run : state.runs) {
    const Recipe recipe = varied(state.recipe, run.choice);
    try {
      const TrainPlan plan = plan_training(train_options(recipe), {});
      const bool by_time = !states_steps(recipe) && recipe.budget_minutes;
      if (!by_time) run.steps = plan.total_updates;
    } catch (const Error& e) {
      throw Error(e.kind(), fmt::format("{}: {}", choice_text(run.choice), e.message()), e.hint());
    }
  }
  if (const auto settings = settings_of_loss(state.variations); state.rank_by == "loss" && !settings.empty())
    observer.warn(
        fmt::format("--rank-by loss: with different {} the training loss measures different things and "
                    "cannot be compared; the default, held_out, can",
                    fmt::join(settings, ", ")));
}

void check_sweep_options(const SweepOptions& o) {
  if (o.halving < 0) throw usage_error(fmt::format("--halving: expected 0 or more, found {}", o.halving));
  if (o.budget_minutes && !(*o.budget_minutes > 0))
    throw usage_error(fmt::format("--budget-minutes: expected above 0, found {}", *o.budget_minutes));
  if (o.rank_by == "held_out" && o.held_out_images < 1)
    throw usage_error("--rank-by held_out: --held-out-images must be at least 1");
}

/// The queue of the folder, when it is the one that is asked for; else the new one.
SweepState begun_or_new(const fs::path& folder, SweepState asked, bool overwrite, const Observer& observer) {
  const fs::path file = folder / "sweep.json";
  if (!fs::exists(file) || overwrite) {
    if (overwrite) {
      fs::remove_all(folder / "runs");
      fs::remove(file);
    }
    plan_runs(asked, observer);
    return asked;
  }
  SweepState begun = sweep_state_from_json(read_json(file), fmt::format("\"{}\"", file.string()));
  const std::string differs = difference(begun, asked);
  if (!differs.empty())
    throw usage_error(fmt::format("\"{}\" holds another sweep: its {} differs", folder.string(), differs),
                      "Choose another --output-dir, or replace it with --overwrite-output-dir.");
  observer.info(fmt::format("going on with the sweep in {}", folder.string()));
  return begun;
}

std::string budget_note(const SweepState& state, double minutes) {
  size_t open = 0;
  for (const SweepRun& run : state.runs) open += run.is_alive();
  return fmt::format(
      "\nThe budget of {:g} minutes is used up; {} of {} runs are not done. The same command with a larger "
      "--budget-minutes goes on.\n",
      minutes, open, state.runs.size());
}

Error too_small(const SweepState& state, double minutes) {
  const SweepRun& run = state.runs.front();
  return usage_error(
      fmt::format("the budget of {:g} minutes ended before the first comparison: run 1 had made {} of {} steps",
                  minutes, run.step, run.steps),
      "Give a larger --budget-minutes: the same command then goes on. Or fewer --vary values, or a smaller recipe.");
}

}  // namespace

SweepResult sweep(const std::string& name, const RecipeFolders& folders, const SweepOptions& options,
                  const Observer& observer, std::stop_token stop) {
  check_sweep_options(options);
  Recipe recipe = load_recipe(name, folders);
  if (options.threads) recipe.train["threads"] = *options.threads;
  if (options.device) recipe.train["device"] = *options.device;
  const fs::path folder = options.output_dir.value_or("sweeps/" + recipe.name);
  SweepState asked = new_sweep(recipe, options);
  check_and_record_data(asked.recipe, options.any_data ? DataCheck::record : DataCheck::refuse, observer);

  SweepQueue queue(folder, begun_or_new(folder, std::move(asked), options.overwrite_output_dir, observer),
                   options.budget_minutes, observer, stop);
  const auto end = queue.run();
  const bool compared = std::any_of(queue.state().runs.begin(), queue.state().runs.end(),
                                    [](const SweepRun& run) { return !run.scores.empty(); });
  if (end == SweepQueue::End::stopped) return {JobStatus::interrupted, ""};
  if (std::all_of(queue.state().runs.begin(), queue.state().runs.end(),
                  [](const SweepRun& run) { return run.status == SweepStatus::failed; }))
    throw data_error(fmt::format("every run failed; the first: {}", queue.state().runs.front().error),
                     "Try lower learning rates; \"unnoise doctor\" finds one that suits.");
  if (!compared) throw too_small(queue.state(), options.budget_minutes.value_or(0));

  CompareOptions comparing;
  comparing.rank_by = options.rank_by;
  comparing.highest = options.highest;
  comparing.output = (folder / "report.html").string();
  SweepResult result;
  result.report = compare({folder.string()}, comparing);
  if (end == SweepQueue::End::budget_used_up) result.report += budget_note(queue.state(), *options.budget_minutes);
  return result;
}

}  // namespace unnoise
