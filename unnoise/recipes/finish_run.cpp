#include "unnoise/recipes/finish_run.h"

#include <ATen/Parallel.h>

#include "unnoise/core/version.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/pipelines/unconditional.h"
#include "unnoise/recipes/evaluate.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/sample.h"
#include "unnoise/recipes/train_card.h"
#include "unnoise/recipes/train_plan.h"

namespace unnoise {
namespace {

std::shared_ptr<UNet2D> network_of(const TrainPlan& plan, const fs::path& weights) {
  auto unet = std::make_shared<UNet2D>(plan.unet, nullptr);
  const bool averaged = fs::exists(weights / "unet_ema");
  const std::string component = averaged ? "unet_ema" : "unet";
  unet->load_state(load_component_weights(weights, component), (weights / component).string());
  unet->requires_grad(false);
  return unet;
}

/// The recipe with all that decided its run: every setting, where it had its default too, as the machine resolved it.
Recipe as_it_ran(Recipe recipe, const TrainOptions& options) {
  recipe.train = training_settings(options);
  recipe.train["threads"] = at::get_num_threads();
  recipe.train["device"] = find_device(options.device).str();
  recipe.made_with = made_with();
  return recipe;
}

}  // namespace

std::optional<HeldOutEpsError> held_out_of(const TrainOptions& options, const fs::path& weights, int64_t num_images,
                                           const Observer& observer, const std::stop_token& stop) {
  if (num_images <= 0) return std::nullopt;
  const TrainPlan plan = plan_training(options, {});
  const auto unet = network_of(plan, weights);
  unet->to(plan.device);
  return held_out_eps_error(options, plan, *unet, num_images, observer, stop);
}

void save_model_of_checkpoint(const TrainOptions& options, const fs::path& checkpoint, const fs::path& folder) {
  const TrainPlan plan = plan_training(options, {});
  const Unconditional pipe{.unet = network_of(plan, checkpoint),
                           .scheduler = plan.scheduler,
                           .unet_config = plan.unet_config,
                           .self_conditioning = plan.draw.self_conditioning};
  pipe.save(folder);
  save_training_card(folder, options, plan);
}

Json machine_json(const TrainOptions& options) {
  return {{"threads", at::get_num_threads()}, {"device", find_device(options.device).str()}, {"unnoise", kVersion}};
}

void finish_run(const Recipe& recipe, RunResult result, const fs::path& folder, const Observer& observer,
                const std::stop_token& stop) {
  SampleOptions grid = sample_options(recipe);
  grid.model = folder.string();
  grid.grid = (folder / "grid.png").string();
  const TrainOptions options = train_options(recipe);
  grid.device = options.device;
  grid.threads = options.threads;
  sample(grid, observer, stop);
  if (!recipe.evaluate.empty() && !stop.stop_requested()) {
    EvaluateOptions evaluation;
    assign_json(evaluation, recipe.evaluate, "evaluate");
    evaluation.model = folder.string();
    if (evaluation.data.empty()) evaluation.data = recipe.data.source;
    evaluation.json = true;
    evaluation.device = options.device;
    evaluation.threads = options.threads;
    const EvaluateResult measured = evaluate(evaluation, observer, stop);
    if (measured.status == JobStatus::interrupted) return;
    result.evaluation = parse_json(measured.report, "evaluation");
  }
  if (stop.stop_requested()) return;
  if (result.machine.empty()) result.machine = machine_json(options);
  write_json(folder / "recipe.json", to_json(as_it_ran(recipe, options)));
  write_json(folder / "result.json", to_json(result));
  renew_training_card(folder, options);
}

}  // namespace unnoise
