// FNV-1a (Fowler, Noll & Vo): a number that tells contents apart. It catches accidents, not forgeries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace unnoise {

class Fnv1a {
 public:
  void add(const void* data, size_t size) {
    for (const char c : std::string_view(static_cast<const char*>(data), size))
      hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  /// As eight bytes, the lowest first, on any machine.
  void add(int64_t number) {
    for (int shift = 0; shift < 64; shift += 8) {
      const auto byte = static_cast<unsigned char>(static_cast<uint64_t>(number) >> shift);
      add(&byte, 1);
    }
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

}  // namespace unnoise
