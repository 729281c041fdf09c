// The folder in which huggingface_hub keeps downloads, as it lays it out, so that either program finds what the other
// has fetched:
//
//   models--user--name/blobs/<etag>                 contents, each once
//   models--user--name/snapshots/<commit>/<path>    links to them
//   models--user--name/refs/<revision>              the commit that a branch or tag was when last looked at
//   models--user--name/trees/<commit>.json          what files a commit has
//   .locks/models--user--name/<etag>.lock           held while a content is fetched
//
// Data sets are in datasets--user--name.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/hub/repository.h"

namespace unnoise {

class HubCache {
 public:
  HubCache(const fs::path& cache, const HubRepository& repository);

  const fs::path& folder() const { return folder_; }
  fs::path blob(const HubFile& file) const { return folder_ / "blobs" / file.etag(); }
  fs::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }

  /// The commit that `revision` was last seen as (a commit is itself), nothing when it never was.
  std::optional<std::string> known_commit(const std::string& revision) const;
  void remember_commit(const std::string& revision, const std::string& commit) const;
  /// The files of a commit, nothing when they were never listed (or the list is not readable).
  std::optional<std::vector<HubFile>> known_files(const std::string& commit) const;
  void remember_files(const std::string& commit, const std::vector<HubFile>& files) const;

  /// Whether the snapshot holds the file, whole as far as its size tells.
  bool holds(const std::string& commit, const HubFile& file) const;
  /// Puts a blob that is there under its name; a copy where the file system has no links.
  void link(const std::string& commit, const HubFile& file) const;

  /// Held by one process at a time, ours or the official client's. Waits for it; throws Stopped.
  class Lock {
   public:
    Lock(const fs::path& path, std::stop_token stop);
    ~Lock();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    int descriptor_ = -1;
  };
  fs::path lock_file(const HubFile& file) const { return locks_ / (file.etag() + ".lock"); }

 private:
  fs::path folder_;
  fs::path locks_;
};

/// The repository and commit of a snapshot's folder in such a cache; nothing for any other path.
std::optional<HubName> name_of_snapshot(const fs::path& folder);

}  // namespace unnoise
