// The help texts.
#pragma once

#include <string>

#include "apps/cli/command.h"

namespace unnoise::cli {

/// What `unnoise --help` prints.
std::string program_help(Commands commands);
/// What `unnoise COMMAND --help` prints.
std::string command_help(const Command& command);
/// The command's options as a Markdown page: docs/train-options.md is made of it.
std::string command_reference(const Command& command);

}  // namespace unnoise::cli
