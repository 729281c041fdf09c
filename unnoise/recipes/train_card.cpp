#include "unnoise/recipes/train_card.h"

#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/version.h"
#include "unnoise/io/model_card.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

std::string settings_table(const TrainOptions& options) {
  const TrainOptions unset;
  const Json defaults = to_json(unset);
  const Json given = to_json(options);
  std::string rows = "| option | value |\n| --- | --- |\n";
  for (const auto& [key, value] : given.items())
    if (value != defaults.at(key) && key != "hub_token") rows += fmt::format("| `{}` | {} |\n", key, value.dump());
  return rows;
}

/// How diffusers loads it. Only the folder's own pipeline class is sure to sample as the model was trained.
std::string in_python(const std::string& name, const TrainPlan& plan) {
  if (plan.draw.self_conditioning)
    return "# diffusers has no class for self-conditioned networks and refuses to load this folder";
  return fmt::format(
      "from diffusers import DiffusionPipeline\n\n"
      "images = DiffusionPipeline.from_pretrained(\"{}\")(batch_size=16{}).images",
      name, plan.scheduler->has_noise() ? "" : fmt::format(", num_inference_steps={}", plan.eval_steps));
}

}  // namespace

void save_training_card(const fs::path& folder, const TrainOptions& options, const TrainPlan& plan, int64_t steps,
                        double loss) {
  const std::string name = folder.filename().string();
  ModelCard card;
  card.title = name.empty() ? "A diffusion model" : name;
  card.summary = fmt::format(
      "An unconditional diffusion model (`UNet2DModel`) that draws {0}×{0} pictures, trained with unnoise {1}.",
      plan.loader.resolution, kVersion);
  card.sections.emplace_back(
      "Training",
      fmt::format("{} pictures, {} optimizer steps{}.\n\nSettings that differ from the defaults:\n\n{}",
                  human_count(plan.dataset->size()), human_count(steps),
                  std::isfinite(loss) ? fmt::format(", last loss {:.4f}", loss) : "", settings_table(options)));
  card.sections.emplace_back("Use",
                             fmt::format("```sh\nunnoise sample --model {} --num-images 16 --grid grid.png\n```\n\n"
                                         "```python\n{}\n```",
                                         name, in_python(name, plan)));
  save_model_card(folder, card);
}

}  // namespace unnoise
