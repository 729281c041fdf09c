// Whole-file reading and crash-safe writing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace unnoise {

namespace fs = std::filesystem;

/// The bytes of a file. Throws Error::data when it does not exist or cannot be read, naming `path`.
std::string read_file(const fs::path& path);

/// Writes to a temporary name beside `path`, syncs, renames: after a crash either the old or the new file is there,
/// whole. The temporary file is removed when the writing fails. Throws Error::environment (disk full, no permission).
void write_file_atomic(const fs::path& path, std::string_view bytes);

/// The same for a file that `write` streams to the descriptor-backed `AtomicFile`.
class AtomicFile {
 public:
  explicit AtomicFile(const fs::path& path);
  ~AtomicFile();  ///< without commit(): removes the temporary file
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  /// Syncs and renames. Call once, last.
  void commit();

 private:
  fs::path path_;
  fs::path temporary_;
  int fd_ = -1;
};

/// Builds a folder under a temporary sibling name by `fill(temporary)`, syncs what is in it, then renames it to `path`;
/// an existing folder of that name is replaced. A crash leaves the old folder, or the new one, whole. Names of
/// unfinished folders start with ".unfinished-" and are safe to delete.
void write_folder_atomic(const fs::path& path, const std::function<void(const fs::path&)>& fill);

/// create_directories with an Error that says which path and why.
void make_folders(const fs::path& path);

}  // namespace unnoise
