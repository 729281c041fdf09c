// The subcommand "doctor".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"
#include "apps/cli/recipe_options.h"

namespace unnoise::cli {
namespace {

int run_doctor(Arguments arguments) {
  JobConsole console;
  auto options = parse_options_with_recipe<DoctorOptions>("doctor", arguments, console.observer());
  if (!find_parts(options, console.observer(), console.stop())) return kInterrupted;
  const DoctorResult result = jobs().doctor(options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command doctor_command() {
  return {
      "doctor",
      "examine a training run before it is started",
      "--train-data-dir DIR [options of train]",
      "Trains copies of the network for a few steps each: which learning rate suits it (range test), whether it can "
      "learn one batch by heart, whether all its layers are alive, which batch size pays (gradient noise scale), and "
      "which noise levels make up the loss. Says in a sentence each what to change; figures are in --report.",
      {
          {"The run that you are about to start:",
           "unnoise doctor --train-data-dir my-pictures --model-config-name-or-path butterflies --resolution 32"},
          {"A recipe:", "unnoise doctor --recipe digits-8"},
          {"Only the learning rate, of settings in a file:",
           "unnoise doctor --options my-model/options.json --checks lr"},
      },
      shown_options<DoctorOptions>(),
      {},
      run_doctor,
  };
}

}  // namespace unnoise::cli
