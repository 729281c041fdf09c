// The members of tar (plain or packed with gzip, bzip2, xz, zstd ...), ar and 7z files, one after the other. Zip files,
// which can be read in any order, are io/zip.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "unnoise/core/files.h"

namespace unnoise {

struct ArchiveMember {
  enum class Kind { file, folder, link, other };
  std::string path;  ///< as written: not checked, and not to be used as a path on disk
  Kind kind = Kind::file;
  int64_t size = -1;       ///< bytes; -1 = the archive does not say
  int64_t stored_at = -1;  ///< where its bytes begin in the file itself; -1 = they are packed, or in pieces
};

/// What a walk asks of its caller.
struct ArchiveVisitor {
  /// Called for each member; true asks for its bytes.
  std::function<bool(const ArchiveMember&)> wants;
  /// Called for each piece of a wanted member's bytes, in order.
  std::function<void(const void* data, size_t size)> data;
};

/// Walks through an archive in memory or in a file. Error::data, naming `where`, when it is none, is damaged, cut short
/// or encrypted. What the visitor throws comes out.
void walk_archive(const fs::path& file, const ArchiveVisitor& visitor);
void walk_archive(std::string_view bytes, std::string_view where, const ArchiveVisitor& visitor);

/// Whether the name is that of an archive that can be walked, or a zip: ".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip"
/// ...
bool is_archive_name(const fs::path& path);

/// Between the program and its module.
struct ArchiveModule {
  void (*walk_file)(const fs::path&, const ArchiveVisitor&);
  void (*walk_bytes)(std::string_view, std::string_view, const ArchiveVisitor&);
};

}  // namespace unnoise
