// Any bytes as a Parquet file: the outcome is its columns, none of which claims more rows than it has, or an
// unnoise::Error.
#include <cstdlib>

#include "fuzz/as_file.h"
#include "unnoise/containers/parquet.h"
#include "unnoise/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int64_t kMost = 1 << 24;  // bytes of a column: larger ones are only slower
  try {
    const AsFile bytes(data, size, ".parquet");
    const auto file = unnoise::open_parquet(bytes.path);
    const auto& groups = file->group_rows();
    for (size_t column = 0; column < file->columns().size(); ++column) {
      if (!file->columns()[column].is_binary) {
        file->values(column);
        continue;
      }
      for (size_t group = 0; group < groups.size(); ++group) {
        if (file->unpacked_bytes(column, group) > kMost) continue;
        if (file->pictures(column, group).bytes.size() != static_cast<size_t>(groups[group])) std::abort();
      }
    }
  } catch (const unnoise::Error&) {
  }
  return 0;
}
