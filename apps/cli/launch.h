// Several processes of this program on one machine, which train together: --num-processes.
#pragma once

#include <cstdint>
#include <string_view>

#include "apps/cli/command.h"

namespace unnoise::cli {

/// Starts this program `count` times with the same words, each with its place in the environment, hands Ctrl-C on, and
/// waits for all. When one fails the others get some seconds to notice, then they are ended; its exit code is the
/// result.
int launch_processes(int64_t count, std::string_view command, Arguments arguments);

}  // namespace unnoise::cli
