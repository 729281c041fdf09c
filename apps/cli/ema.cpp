// The subcommand "ema".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_ema(Arguments arguments) {
  const auto options = parse_options<EmaJobOptions>("ema", arguments);
  JobConsole console;
  const EmaJobResult result = jobs().rebuild_averages(options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  if (!options.json && !result.files.empty()) print("\n");
  if (!options.json)
    for (const auto& file : result.files) print(file + "\n");
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command ema_command() {
  return {
      "ema",
      "choose the average of the weights after training",
      "--run DIR [--sigma-rel W --output MODEL_DIR | --sweep] [options]",
      "An average of the weights draws better pictures than the weights themselves, and how long it should be shows "
      "only at the end. A run with --ema-sigma-rel 0.05,0.1 stores snapshots of two averages; from them any other is "
      "rebuilt, as if it had been kept all the time (Karras et al. 2024). Without more than --run, says what is there.",
      {
          {"Train with snapshots:",
           "unnoise train --dataset-name fashion-mnist --ema-sigma-rel 0.05,0.1 "
           "--output-dir garments"},
          {"Which average is best? A table, ema-sweep.svg, and the best as a model:",
           "unnoise ema --run garments --sweep --output garments-best"},
          {"One of your choice:", "unnoise ema --run garments --sigma-rel 0.08 --output garments-008"},
          {"As of an earlier step:", "unnoise ema --run garments --step 500 --sigma-rel 0.1 --output early"},
      },
      shown_options<EmaJobOptions>(),
      {},
      run_ema,
  };
}

}  // namespace unnoise::cli
