// The program: its commands, in the order of the help.
#include <string>
#include <vector>

#include "apps/cli/commands.h"
#include "apps/cli/program.h"

int main(int argc, char** argv) {
  using namespace unnoise::cli;
  return run_program(
      {train_command(), sample_command(), info_command(), data_command(), recipe_command(), doctor_command(),
       evaluate_command(), classifier_command(), ema_command(), samplers_command(), schedule_command(), noise_command(),
       card_command(), push_command(), pull_command(), bench_command()},
      std::vector<std::string>(argv + 1, argv + argc));
}
