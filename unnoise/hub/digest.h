// The two names that a hub has for a file's content: SHA-256 (large files) and git's blob id (the others).
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "unnoise/core/files.h"

namespace unnoise {

/// A digest of bytes that come in pieces.
class Digest {
 public:
  static Digest sha256();
  /// SHA-1 over "blob <size>\0" and the content, as git names a file of `size` bytes.
  static Digest git_blob(uint64_t size);

  void add(std::string_view bytes);
  /// Lower-case hexadecimal. Call once, last.
  std::string hex();

 private:
  struct Free {
    void operator()(void* context) const;
  };
  explicit Digest(const char* algorithm);
  std::unique_ptr<void, Free> context_;  ///< EVP_MD_CTX
};

/// Adds a whole file, read in pieces. Error::data when it cannot be read; stops early, with an incomplete digest, when
/// `stop` is requested.
void add_file(Digest& digest, const fs::path& path, std::stop_token stop = {});

std::string sha256_of_file(const fs::path& path, std::stop_token stop = {});
std::string git_blob_of_file(const fs::path& path);

}  // namespace unnoise
