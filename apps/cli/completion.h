// Completion scripts for shells, written from the table of commands.
#pragma once

#include <string>

#include "apps/cli/command.h"

namespace unnoise::cli {

std::string bash_completion(Commands commands);
std::string zsh_completion(Commands commands);

}  // namespace unnoise::cli
