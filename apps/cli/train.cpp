// The subcommand "train".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/launch.h"
#include "apps/cli/process_environment.h"
#include "apps/cli/recipe_options.h"

namespace unnoise::cli {
namespace {

TrainOptions read_options(Arguments arguments) {
  ProgressDisplay display;
  auto options = parse_options_with_recipe<TrainOptions>("train", arguments, display.observer());
  options.processes = process_environment(options.local_rank);
  return options;
}

int run_train(Arguments arguments) {
  auto options = read_options(arguments);
  if (options.processes.world_size == 1 && options.num_processes.value_or(1) > 1)
    return launch_processes(*options.num_processes, "train", arguments);
  JobConsole console(options.processes.rank);
  if (options.push_to_hub) options.hub = hub_environment();
  if (!find_parts(options, console.observer(), console.stop())) return kInterrupted;
  const JobStatus status = jobs().train(options, console.observer(), console.stop());
  console.finish();
  return status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command train_command() {
  return {
      "train",
      "train a model on a folder of pictures",
      "--train-data-dir DIR [options]",
      "Takes the options of diffusers' train_unconditional.py under their own names, and some more. Everything is "
      "written below "
      "--output-dir: options.json, log.jsonl, loss.csv, loss.svg, samples, checkpoints, and at the end the model. "
      "Ctrl-C "
      "finishes the "
      "step and saves; --resume-from-checkpoint latest goes on exactly from there. --num-processes trains with "
      "several processes on this machine; torchrun or Slurm start them on several (docs/several-processes.md).",
      {
          {"A folder of pictures, the network of the course's butterflies, 30 epochs:",
           "unnoise train --train-data-dir my-pictures --model-config-name-or-path butterflies --resolution 32 "
           "--num-epochs 30 "
           "--output-dir my-model"},
          {"Go on after Ctrl-C, a crash or a power cut:",
           "unnoise train --options my-model/options.json --resume-from-checkpoint latest"},
          {"Fine-tune a model on other pictures:",
           "unnoise train --train-data-dir cats --pretrained my-model --learning-rate 1e-5 --output-dir my-cats"},
          {"Quickly see something: grey garments, by a recipe (unnoise recipe list):",
           "unnoise train --recipe fashion-28-5min --output-dir garments"},
      },
      shown_options<TrainOptions>(),
      {},
      run_train,
  };
}

}  // namespace unnoise::cli
