// One function a subcommand, each in the file of its name. A new subcommand is a file, a line here and a row in
// main.cpp.
#pragma once

#include "apps/cli/command.h"

namespace unnoise::cli {

Command train_command();
Command sample_command();
Command info_command();
Command schedule_command();
Command noise_command();
Command evaluate_command();
Command ema_command();
Command classifier_command();
Command samplers_command();
Command bench_command();
Command push_command();
Command pull_command();
Command card_command();
Command data_command();
Command recipe_command();
Command doctor_command();

}  // namespace unnoise::cli
