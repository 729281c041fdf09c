// The subcommand "card".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_card(Arguments arguments) {
  print(jobs().write_card(parse_options<CardOptions>("card", arguments)));
  return kDone;
}

}  // namespace

Command card_command() {
  return {
      "card",
      "write a model's card: what it is, how it was made",
      "--model DIR [options]",
      "Training writes one already; this renews it after you draw samples, measure quality or choose a licence. The "
      "front matter is what the hub reads. A card that you have changed is never replaced without --force.",
      {
          {"Choose a licence, without which nobody may use the model:",
           "unnoise card --model my-model --license apache-2.0"},
          {"With what was measured:",
           "unnoise evaluate --bits-per-dim --model my-model --data held-out --json > quality.json\n"
           "unnoise card --model my-model --evaluation quality.json"},
          {"See it first:", "unnoise card --model my-model --print"},
      },
      shown_options<CardOptions>(),
      {},
      run_card,
  };
}

}  // namespace unnoise::cli
