#include "unnoise/recipes/train.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/run_folder.h"
#include "unnoise/recipes/train_plan.h"
#include "unnoise/recipes/train_push.h"
#include "unnoise/recipes/trainer.h"

namespace unnoise {

JobStatus train(const TrainOptions& options, const Observer& observer, std::stop_token stop) {
  const int64_t threads = use_machine(options);
  TrainPlan plan = plan_training(options, observer);

  std::optional<fs::path> checkpoint;
  auto existing = options.overwrite_output_dir ? RunFolder::Existing::replace : RunFolder::Existing::refuse;
  if (options.resume_from_checkpoint) {
    checkpoint = find_checkpoint(options.output_dir, *options.resume_from_checkpoint);
    if (!checkpoint && fs::exists(fs::path(options.output_dir) / "model_index.json"))
      throw usage_error(
          fmt::format("\"{}\" holds a finished model but no checkpoint to resume from", options.output_dir),
          "Train on from its weights with --pretrained into another --output-dir, or replace it with "
          "--overwrite-output-dir and without --resume-from-checkpoint.");
    if (!checkpoint)
      observer.warn(
          fmt::format("\"{}\" holds no checkpoint to resume from: starting from the beginning", options.output_dir));
    existing = checkpoint ? RunFolder::Existing::resume : RunFolder::Existing::replace;
  }
  if (options.push_to_hub) prepare_push(options, observer, stop);
  const RunFolder folder(options.output_dir, existing);
  observer.info(fmt::format("device   {}, {} threads", plan.device.str(), threads));
  return Trainer(options, std::move(plan), folder, checkpoint, observer).run(stop);
}

}  // namespace unnoise
