// The program around its commands: dispatch, help, version, completion, errors.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/command.h"

namespace unnoise::cli {

/// Runs the command that `words` (without the program's name) ask for and returns the exit code; `help` and
/// `completion` are added to `commands`. Catches everything.
int run_program(std::vector<Command> commands, const std::vector<std::string>& words);

/// Writes results to standard output. Throws Error::environment when that fails (a full disk behind a redirection).
void print(const std::string& text);

}  // namespace unnoise::cli
