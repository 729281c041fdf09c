// Any bytes as a packed archive: the outcome is its members or an unnoise::Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "unnoise/containers/archive.h"
#include "unnoise/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  size_t passed = 0;
  try {
    unnoise::walk_archive({reinterpret_cast<const char*>(data), size}, "fuzz",
                          {.wants = [&](const unnoise::ArchiveMember&) { return passed < 1 << 20; },
                           .data = [&](const void*, size_t bytes) { passed += bytes; }});
  } catch (const unnoise::Error&) {
  }
  return 0;
}
