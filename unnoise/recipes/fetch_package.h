// Packages from the system's registries through their own programs: apt-get, npm, pip. None needs root: packages are
// downloaded, not installed.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/observer.h"
#include "unnoise/data/known_sets.h"

namespace unnoise {

/// The words of the command that downloads a package into `folder`.
std::vector<std::string> download_command(Registry registry, const std::string& package, const std::string& version,
                                          const fs::path& folder);

/// Runs it in `folder`, which must be empty, and gives the file that it left (progress stage "download"). The program
/// gets this process's environment (PATH, proxies). Error::environment, with the command to run by hand, when the
/// program is not installed or fails; with what it said.
fs::path fetch_package(Registry registry, const std::string& package, const std::string& version,
                       const fs::path& folder, const Observer& observer, const std::stop_token& stop);

}  // namespace unnoise
