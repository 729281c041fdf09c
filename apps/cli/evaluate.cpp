// The subcommand "evaluate".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_evaluate(Arguments arguments) {
  auto options = parse_options<EvaluateOptions>("evaluate", arguments);
  JobConsole console;
  if (!find_model(options, options.model, console.observer(), console.stop())) return kInterrupted;
  if (!find_dataset(options, options.data, console.observer(), console.stop())) return kInterrupted;
  if (!find_dataset(options, options.held_out, console.observer(), console.stop())) return kInterrupted;
  const EvaluateResult result = jobs().evaluate(options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  if (!options.json)
    for (const auto& file : result.files) print(file + "\n");
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command evaluate_command() {
  return {
      "evaluate",
      "measure how good a model's pictures are",
      "--model DIR --data DIR [options]",
      "Draws pictures, or takes a folder of them, and compares them with those that the model learnt from: how far the "
      "two sets are apart, how many drawn pictures could be real and the reverse, and whether any are copies. Numbers "
      "can be compared only at the same number of pictures with the same features; docs/quality.md says what each can "
      "tell. --bits-per-dim is another measure: what it would cost to store other pictures' pixels with the model, 8 "
      "for one that knows nothing.",
      {
          {"Draw 1000 pictures, measure them, and show the most suspicious beside the training pictures:",
           "unnoise evaluate --model my-model --data fashion-mnist --neighbours nearest.svg"},
          {"Pictures that are there, in colour, with a feature network of your own:",
           "unnoise evaluate --samples drawn --data pets --features pets.safetensors"},
          {"Some numbers alone, for a script:",
           "unnoise evaluate --model my-model --data pets --metrics fd,pr --num-images 5000 --json"},
          {"The likelihood of 64 test pictures:",
           "unnoise evaluate --bits-per-dim --model my-model --data fashion-mnist"},
      },
      shown_options<EvaluateOptions>(),
      {},
      run_evaluate,
  };
}

}  // namespace unnoise::cli
