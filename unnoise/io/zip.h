// The entries of a zip container that is in memory: plain and zip64, stored and deflated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace unnoise {

struct ZipEntry {
  std::string name;
  uint64_t size = 0;         ///< bytes when unpacked
  std::string_view packed;   ///< bytes as they lie in the container
  bool is_deflated = false;  ///< else `packed` is the content itself
};

/// Whether `bytes` begin like a zip container.
bool is_zip(std::string_view bytes);

/// The central directory, every entry checked against the container's size. `bytes` must outlive the entries.
/// Error::data, naming `where`, for a damaged container, an encrypted entry, an unknown compression and two entries of
/// one name.
std::vector<ZipEntry> read_zip(std::string_view bytes, std::string_view where);

/// The content of an entry; at most `max_size` bytes are allocated (Error::data above that, or when it does not
/// unpack).
std::string unpack(const ZipEntry& entry, uint64_t max_size, std::string_view where);

}  // namespace unnoise
