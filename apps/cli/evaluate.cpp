// The subcommand "evaluate".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run(Arguments arguments) {
  const auto options = parse_options<EvaluateOptions>("evaluate", arguments);
  JobConsole console;
  const EvaluateResult result = jobs().evaluate(options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command evaluate_command() {
  return {
      "evaluate",
      "measure how well a model knows pictures",
      "--bits-per-dim --model DIR --data DIR [options]",
      "Bits a dimension are what it would cost to store the pictures' pixels with the model: 8 for one that knows "
      "nothing. Take pictures that the model was not trained on.",
      {
          {"64 test pictures:", "unnoise evaluate --bits-per-dim --model my-model --data fashion-mnist"},
          {"A folder, all of it, for a script:",
           "unnoise evaluate --bits-per-dim --model my-model --data held-out --num-images 0 --json"},
      },
      shown_options<EvaluateOptions>(),
      {},
      run,
  };
}

}  // namespace unnoise::cli
