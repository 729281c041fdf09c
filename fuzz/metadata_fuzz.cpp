// Any text as metadata.csv and as metadata.jsonl: the outcome is rows that name a file each, or an unnoise::Error of
// the data.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/data/metadata.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  for (const char* name : {"metadata.csv", "metadata.jsonl"}) {
    try {
      unnoise::read_metadata(text, name);
    } catch (const unnoise::Error& error) {
      if (error.kind() != unnoise::ErrorKind::data) std::abort();
    }
  }
  return 0;
}
