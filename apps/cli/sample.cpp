// The subcommand "sample".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_sample(Arguments arguments) {
  auto options = parse_options<SampleOptions>("sample", arguments);
  JobConsole console;
  if (!find_model(options, options.model, console.observer(), console.stop())) return kInterrupted;
  const SampleResult result = jobs().sample(options, console.observer(), console.stop());
  console.finish();
  for (const auto& file : result.files) print(file + "\n");
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command sample_command() {
  return {
      "sample",
      "draw pictures with a trained model",
      "--model DIR [options]",
      "Draws from noise, step by step, and writes a PNG a picture; the names of all files written are printed, one a "
      "line. The "
      "same seed gives the picture that diffusers gives with a CPU generator of that seed.",
      {
          {"16 pictures and one sheet with all of them:",
           "unnoise sample --model my-model --num-images 16 --grid grid.png"},
          {"Faster, with 50 steps of DDIM:",
           "unnoise sample --model my-model --scheduler ddim --num-inference-steps 50"},
          {"Three pictures that keep their seed whatever the batch:",
           "unnoise sample --model my-model --num-images 3 --seeds 7,8,9"},
          {"The picture emerging from noise, as an animation:", "unnoise sample --model my-model --gif emerging.gif"},
      },
      shown_options<SampleOptions>(),
      {},
      run_sample,
  };
}

}  // namespace unnoise::cli
