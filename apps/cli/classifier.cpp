// The subcommand "classifier".
#include "apps/cli/arguments.h"
#include "apps/cli/commands.h"
#include "apps/cli/job_console.h"
#include "apps/cli/jobs.h"
#include "apps/cli/program.h"

namespace unnoise::cli {
namespace {

int run_classifier(Arguments arguments) {
  const auto options = parse_options<ClassifierJobOptions>("classifier", arguments);
  JobConsole console;
  const ClassifierResult result = jobs().train_classifier(options, console.observer(), console.stop());
  console.finish();
  print(result.report);
  return result.status == JobStatus::interrupted ? kInterrupted : kDone;
}

}  // namespace

Command classifier_command() {
  return {
      "classifier",
      "train the network that evaluate compares pictures by",
      "--data DIR [options]",
      "Trains a small network to tell the classes of pictures apart and writes it as one safetensors file. What it "
      "looks at before it decides, its features, is what `unnoise evaluate --features FILE` measures distances in: a "
      "network that knows your kind of pictures sees what matters in them. Distances of different networks cannot be "
      "compared.",
      {
          {"The network behind --features fmnist:",
           "unnoise classifier --data fashion-mnist --output garments.safetensors"},
          {"Your own classes, a folder each, in colour:",
           "unnoise classifier --data pets --test-data pets-test --image-mode rgb --resolution 64 "
           "--widths 16,32,64,96,128 --output pets.safetensors"},
      },
      shown_options<ClassifierJobOptions>(),
      {},
      run_classifier,
  };
}

}  // namespace unnoise::cli
