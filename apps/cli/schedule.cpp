// The subcommand "schedule".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_schedule(Arguments arguments) {
  auto options = parse_options_and_names<ScheduleOptions>("schedule", arguments);
  JobConsole console;
  if (!find_model(options, options.model, console.observer(), console.stop())) return kInterrupted;
  console.finish();
  const ScheduleReport report = jobs().show_schedules(options);
  print(report.text);
  if (!options.json)
    for (const auto& file : report.files) print("\n" + file + "\n");
  return kDone;
}

}  // namespace

Command schedule_command() {
  return {
      "schedule",
      "see a noise schedule: table and curves",
      "[NAMES...] [options]",
      "Says how much picture and how much noise there is at each training timestep, or at each call of the network in "
      "a "
      "run: of a beta schedule, of a sampler, of a model's scheduler. Several names are put side by side.",
      {
          {"The schedule of DDPM beside that of Improved DDPM, as curves:",
           "unnoise schedule linear squaredcos_cap_v2 --svg schedules.svg"},
          {"Which timesteps and sigmas a sampler visits with a model:",
           "unnoise schedule \"DPM++ 2M Karras\" --model my-model --num-inference-steps 20"},
          {"What zero terminal SNR changes:", "unnoise schedule scaled_linear --rescale-betas-zero-snr"},
          {"For scripts:", "unnoise schedule linear --curves alphas_cumprod --json"},
      },
      shown_options<ScheduleOptions>(),
      {"linear", "scaled_linear", "squaredcos_cap_v2", "laplace", "sigmoid", "exp"},
      run_schedule,
  };
}

}  // namespace unnoise::cli
