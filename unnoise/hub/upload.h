// From a folder to a hub, as one commit.
#pragma once

#include <string>
#include <vector>

#include "unnoise/hub/client.h"

namespace unnoise {

struct UploadFile {
  std::string path_in_repository;  ///< "unet/config.json"
  fs::path path;
};

struct Commit {
  std::string message;
  std::string description;
};

struct Uploaded {
  std::string commit;     ///< "" when nothing had to change
  int64_t files = 0;      ///< in the commit
  int64_t unchanged = 0;  ///< the hub had them already
  uint64_t sent = 0;      ///< bytes of large files that travelled
  uint64_t not_sent = 0;  ///< bytes of large files that the hub had: an interrupted push goes on
};

/// Commits the files to `revision` of a repository that exists. Files that are the same there are left out; large ones
/// (the hub decides which) go to its storage first, and only those it lacks. Throws Error, Stopped; then the repository
/// is as before.
Uploaded upload_files(HubClient& client, const HubRepository& repository, const std::string& revision,
                      const std::vector<UploadFile>& files, const Commit& commit);

}  // namespace unnoise
