// Contents of large files to a hub: git-lfs's batch interface with the hub's way of sending parts.
// https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
#pragma once

#include <string>
#include <vector>

#include "unnoise/hub/client.h"
#include "unnoise/hub/transfer_progress.h"

namespace unnoise {

struct LargeFile {
  std::string path_in_repository;
  fs::path path;
  uint64_t size = 0;
  std::string sha256;
};

/// What the hub asks for of these contents: it says nothing more about those that it has. A content that fails is an
/// Error.
struct LfsRequest {
  LargeFile file;
  Json upload;  ///< the action: href, header
  Json verify;  ///< null, or the action
};
std::vector<LfsRequest> lfs_batch(HubClient& client, const HubRepository& repository, const std::string& revision,
                                  const std::vector<LargeFile>& files);

/// Sends one content, whole or in parts as the hub asks, and lets it be verified.
void lfs_send(HubClient& client, const LfsRequest& request, TransferProgress& progress);

}  // namespace unnoise
