// Any text as JSON: the outcome is a value that dump_json writes and parse_json reads again, or an unnoise::Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  unnoise::Json json;
  try {
    json = unnoise::parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
  } catch (const unnoise::Error&) {
    return 0;
  }
  if (unnoise::dump_json(unnoise::parse_json(unnoise::dump_json(json), "fuzz")) != unnoise::dump_json(json))
    std::abort();
  return 0;
}
