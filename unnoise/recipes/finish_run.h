// What comes after the training of a recipe: its samples, its measurements, its papers.
#pragma once

#include <optional>
#include <stop_token>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/held_out_eps_error.h"
#include "unnoise/recipes/recipe.h"
#include "unnoise/recipes/run_summary.h"

namespace unnoise {

/// The loss on held-out pictures of the model in `weights` (a run folder or checkpoint), of the average where there is
/// one.
std::optional<HeldOutEpsError> held_out_of(const TrainOptions& options, const fs::path& weights, int64_t num_images,
                                           const Observer& observer, const std::stop_token& stop);

/// A run that was stopped for good: its folder becomes a model, with the weights of `checkpoint`.
void save_model_of_checkpoint(const TrainOptions& options, const fs::path& checkpoint, const fs::path& folder);

/// Draws grid.png with the recipe's sampler and measures what its "evaluate" asks for; then writes recipe.json and
/// result.json, and the card with all of it. `folder` holds the model; `result` what is known already. Nothing is
/// written when stopped.
void finish_run(const Recipe& recipe, RunResult result, const fs::path& folder, const Observer& observer,
                const std::stop_token& stop);

/// Threads, device and versions, for result.json.
Json machine_json(const TrainOptions& options);

}  // namespace unnoise
