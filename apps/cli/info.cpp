// The subcommand "info".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_info(Arguments arguments) {
  auto options = parse_options<InfoOptions>("info", arguments);
  JobConsole console;
  if (!find_model(options, options.model, console.observer(), console.stop())) return kInterrupted;
  console.finish();
  print(jobs().info(options));
  return kDone;
}

}  // namespace

Command info_command() {
  return {
      "info",
      "look inside a model: network, size, cost, scheduler",
      "--model DIR [options]",
      "Prints the network's tree with parameters and output shapes, totals, multiply-adds, the scheduler and the "
      "licence.",
      {
          {"A trained model:", "unnoise info --model my-model"},
          {"What a network of the course costs at another size:",
           "unnoise info --model butterflies --height 64 --width 64"},
          {"For scripts:", "unnoise info --model my-model --json"},
      },
      shown_options<InfoOptions>(),
      {},
      run_info,
  };
}

}  // namespace unnoise::cli
