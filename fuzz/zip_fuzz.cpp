// Any bytes as a zip container: the outcome is its entries' contents, none larger than allowed, or an unnoise::Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/io/zip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint64_t kMost = 1 << 20;
  try {
    for (const auto& entry : unnoise::read_zip({reinterpret_cast<const char*>(data), size}, "fuzz"))
      if (unnoise::unpack(entry, kMost, "fuzz").size() > kMost) std::abort();
  } catch (const unnoise::Error&) {
  }
  return 0;
}
