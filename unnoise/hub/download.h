// From a hub to the cache: whole and verified, or not at all.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "unnoise/hub/cache.h"
#include "unnoise/hub/client.h"

namespace unnoise {

/// Which of a repository's files are wanted.
using ChooseFiles = std::function<std::vector<HubFile>(const std::vector<HubFile>& all)>;

struct Snapshot {
  fs::path folder;     ///< snapshots/<commit>
  std::string commit;  ///< 40 hexadecimal digits
  std::vector<HubFile> files;
  uint64_t fetched = 0;  ///< bytes that came over the network
};

/// Fetches what the cache does not hold. Interrupted downloads go on where they stopped, in this run (a cut connection)
/// and in the next. Each file is verified by size and SHA-256 or git's SHA-1 before it gets its name. Throws
/// Error::data for contents that are not what the hub's list says, Stopped.
Snapshot download_snapshot(HubClient& client, const HubRepository& repository, const std::string& revision,
                           const ChooseFiles& choose);

/// What the cache holds of it, without the network. Error::environment that names what is missing and how to get it.
Snapshot cached_snapshot(const HubSettings& settings, const HubRepository& repository, const std::string& revision,
                         const ChooseFiles& choose);

}  // namespace unnoise
