// The subcommand "pull".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_pull(Arguments arguments) {
  auto options = parse_options_and_names<PullOptions>("pull", arguments);
  options.hub = hub_environment();
  JobConsole console;
  const PullResult result = jobs().pull(options, console.observer(), console.stop());
  console.finish();
  if (result.status == JobStatus::interrupted) return kInterrupted;
  print(result.folder + "\n");
  return kDone;
}

}  // namespace

Command pull_command() {
  return {
      "pull",
      "fetch a model or a data set from the hub",
      "USER/NAME [options]",
      "Fetches all files of a model or data set, verifies them and prints the folder. They are kept where Python's "
      "huggingface_hub "
      "keeps them, so neither fetches what the other has. After an interruption the same command goes on. Every "
      "--model, and --dataset-name and --data, takes USER/NAME directly, too.",
      {
          {"A model, to work with where there is no network:", "unnoise pull me/my-model"},
          {"An earlier state of it, as a folder of your own:",
           "unnoise pull me/my-model --revision v1 --output my-copy"},
          {"A data set, and a training on it:",
           "unnoise pull me/my-set --repo-type dataset\n"
           "unnoise train --dataset-name me/my-set --output-dir my-model"},
          {"Draw with a model of the hub:", "unnoise sample --model me/my-model --num-images 4 --grid grid.png"},
      },
      shown_options<PullOptions>(),
      {},
      run_pull,
  };
}

}  // namespace unnoise::cli
