// The subcommand "samplers".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_samplers(Arguments arguments) {
  auto options = parse_options<SamplersOptions>("samplers", arguments);
  JobConsole console;
  if (!find_model(options, options.model, console.observer(), console.stop())) return kInterrupted;
  const SamplersResult result = jobs().samplers_report(options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  if (!options.json)
    for (const auto& file : result.files) print(file + "\n");
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command samplers_command() {
  return {
      "samplers",
      "list the samplers, or find the best one for a model",
      "[--model DIR] [options]",
      "With a model: every sampler from the same noise, at several budgets of calls of the network; how far each is "
      "from "
      "the exact picture, how long it takes, which is best; a plot and a sheet with a row of pictures a sampler.",
      {
          {"What there is:", "unnoise samplers"},
          {"Which is best for this model:", "unnoise samplers --model my-model"},
          {"Three of them, in more detail:",
           "unnoise samplers --model my-model --samplers \"ddim,unipc,DPM++ 2M Karras\" --calls 4,6,8,10,15,20,30"},
          {"The best ten timesteps for this model, kept with it, and pictures with them:",
           "unnoise samplers --model my-model --fit-schedule 10 --update-model\n"
           "unnoise sample --model my-model --scheduler dpm_multistep --num-inference-steps 10 --fitted-timesteps"},
      },
      shown_options<SamplersOptions>(),
      {},
      run_samplers,
  };
}

}  // namespace unnoise::cli
