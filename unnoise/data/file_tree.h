// The files that a set of pictures is made of, read by their relative paths: a folder on the disk, an archive, or a
// folder of archives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/observer.h"
#include "unnoise/data/picture_header.h"
#include "unnoise/io/mapped_file.h"

namespace unnoise {

/// A file that is not used, with the reason: "is no picture".
struct SkippedFile {
  std::string path;
  std::string reason;
};

/// Const calls may come from any number of threads.
class FileTree {
 public:
  virtual ~FileTree() = default;
  /// For messages: the path of the folder or archive.
  const std::string& where() const { return where_; }
  /// The visible files (imagefolder_rule.h), relative, with '/', sorted by their bytes.
  const std::vector<std::string>& files() const { return files_; }
  /// What cannot be read at all: links and devices in an archive.
  const std::vector<SkippedFile>& skipped() const { return skipped_; }
  /// The first folders of paths that are not folders but archives: "train-0000.tar".
  const std::vector<std::string>& mounts() const { return mounts_; }
  bool is_archive() const { return is_archive_; }

  /// The bytes of a file; Error::data when it is not there or damaged.
  virtual SharedBytes read(const std::string& path) const = 0;
  /// probe_picture of a file; never throws.
  virtual PictureProbe probe(const std::string& path) const;

 protected:
  std::string where_;
  std::vector<std::string> files_;
  std::vector<SkippedFile> skipped_;
  std::vector<std::string> mounts_;
  bool is_archive_ = false;
};

std::shared_ptr<const FileTree> folder_tree(const fs::path& root);

/// What an archive may be at most. The defaults let every honest set of pictures pass: pictures are packed already.
struct ArchiveLimits {
  int64_t members = 20'000'000;
  int64_t member_bytes = int64_t{4} << 30;
  int64_t unpacked_ratio = 200;               ///< all members, unpacked, to the archive's own bytes ...
  int64_t unpacked_bytes = int64_t{1} << 30;  ///< ... above this many
};

/// Opens zip, tar, tar.gz, tar.zst, tar.xz, tar.bz2 and 7z. Nothing is written under a member's name. Zip and plain tar
/// are read where they lie, in any order; of the others the files that may be of use are unpacked once into one
/// nameless temporary file in `scratch` (progress stage "unpack"). Error::data for a damaged archive, for names that
/// lead out of it ("../x", "/x"), and for more than `limits`; Error::environment when there is no room.
std::shared_ptr<const FileTree> archive_tree(const fs::path& file, const fs::path& scratch,
                                             const Observer& observer = {}, const ArchiveLimits& limits = {});

/// Several archives of one folder as one tree; each one's files are below its name.
std::shared_ptr<const FileTree> mounted_trees(
    const fs::path& folder, const std::vector<std::pair<std::string, std::shared_ptr<const FileTree>>>& trees);

/// Whether a path's parts are all visible: none starts with '.', no folder with "__".
bool is_visible_path(std::string_view path);

/// A member's name as a relative path without "." parts. Error::data, naming `where`, when it would lead out of the
/// archive: an absolute path, a part "..", a backslash, a drive letter, a NUL.
std::string safe_member_path(std::string_view name, std::string_view where);

}  // namespace unnoise
