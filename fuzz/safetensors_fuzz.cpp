// Any bytes as a safetensors file: the outcome is tensors or an unnoise::Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    unnoise::SafetensorsFile::parse({reinterpret_cast<const char*>(data), size}, "fuzz").state();
  } catch (const unnoise::Error&) {
  }
  return 0;
}
