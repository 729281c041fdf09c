// Any bytes as a file of torch.save: the outcome is tensors, all of whose elements can be read, or an unnoise::Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "unnoise/core/error.h"
#include "unnoise/io/torch_bin.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int64_t kMostElements = 1 << 20;  // an expanded view may be larger than memory
  try {
    for (const auto& [name, tensor] : unnoise::parse_torch_bin({reinterpret_cast<const char*>(data), size}, "fuzz"))
      if (tensor.numel() < kMostElements) tensor.contiguous();
  } catch (const unnoise::Error&) {
  }
  return 0;
}
