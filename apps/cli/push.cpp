// The subcommand "push".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/hub_environment.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_push(Arguments arguments) {
  auto options = parse_options<PushOptions>("push", arguments);
  options.hub = hub_environment();
  JobConsole console;
  const PushResult result = jobs().push(options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command push_command() {
  return {
      "push",
      "share a model or a data set: upload it to the hub, or export it",
      "--model DIR --repo USER/NAME [options]",
      "Uploads the pipeline and its card as one commit, which diffusers loads by name. Run again after a change or an "
      "interruption: only what is not there yet travels. The token is read from --hub-token-file, HF_TOKEN or where "
      "\"hf auth login\" stored it, and is never printed or saved.",
      {
          {"To your account, for your eyes only at first:",
           "unnoise push --model my-model --repo me/my-model --private"},
          {"Without an account, a file to send:", "unnoise push --model my-model --export my-model.zip"},
          {"A data set that unnoise data build has packed:",
           "unnoise push --repo-type dataset --data my-set --repo me/my-set --private"},
          {"What would be uploaded:", "unnoise push --model my-model --dry-run"},
          {"Another try on a branch of its own:",
           "unnoise push --model my-model --repo me/my-model --revision longer --commit-message \"Train for 90 "
           "epochs\""},
      },
      shown_options<PushOptions>(),
      {},
      run_push,
  };
}

}  // namespace unnoise::cli
