// The subcommand "noise".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_noise(Arguments arguments) {
  auto options = parse_options_and_names<NoiseStripOptions>("noise", arguments);
  JobConsole console;
  if (!find_model(options, options.model, console.observer(), console.stop())) return kInterrupted;
  console.finish();
  print(jobs().draw_noise_strip(options));
  return kDone;
}

}  // namespace

Command noise_command() {
  return {
      "noise",
      "watch a picture drown in noise, as a model is trained to see it",
      "--image FILE [NAMES...] [options]",
      "Draws one picture at growing noise, a panel a timestep and a row a schedule, and says what each panel shows. "
      "Without a name or a model the schedule is linear.",
      {
          {"A photograph at chosen timesteps:", "unnoise noise --image cat.jpg --timesteps 0,100,250,500,750,999"},
          {"Two schedules, one above the other:", "unnoise noise --image cat.jpg linear squaredcos_cap_v2"},
          {"What a trained model still sees in the noise:",
           "unnoise noise --image cat.jpg --model my-model --predict --output seen.png"},
      },
      shown_options<NoiseStripOptions>(),
      {"linear", "scaled_linear", "squaredcos_cap_v2", "laplace", "sigmoid", "exp"},
      run_noise,
  };
}

}  // namespace unnoise::cli
