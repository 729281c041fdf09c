// The subcommand "bench".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_bench(Arguments arguments) {
  const auto options = parse_options_and_names<BenchOptions>("bench", arguments);
  JobConsole console;
  const BenchResult result = jobs().bench(options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command bench_command() {
  return {
      "bench",
      "time training and sampling on this machine",
      "[NAMES...] [options]",
      "Times the course's networks with random weights: the real training step (noise, forward, loss, backward, clip, "
      "AdamW) without the data, the network alone, and whole pictures. Peak memory is the process's so far: ask for "
      "one network and one thing to have its own.",
      {
          {"How long a training step of each network takes:", "unnoise bench --what train"},
          {"One network in bfloat16:", "unnoise bench cifar10 --mixed-precision bf16"},
          {"What the fast kernels bring here:",
           "unnoise bench butterflies --what train --kernels plain\nunnoise bench butterflies --what train"},
      },
      shown_options<BenchOptions>(),
      {"butterflies", "mnist", "cifar10", "script"},
      run_bench,
  };
}

}  // namespace unnoise::cli
