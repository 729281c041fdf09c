// Any bytes as arrays of pictures: IDX, gzipped or not, and NumPy's npz. The outcome is pictures, all of which can be
// read, or an unnoise::Error.
#include <algorithm>

#include "fuzz/as_file.h"
#include "unnoise/core/error.h"
#include "unnoise/data/idx.h"
#include "unnoise/data/npz.h"

namespace {

constexpr int64_t kSome = 16;  // pictures: the others are read alike

void look_at(const unnoise::Dataset& dataset) {
  for (int64_t i = 0; i < std::min<int64_t>(dataset.size(), kSome); ++i) dataset.read(i);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    look_at(*unnoise::open_idx_files(AsFile(data, size, ".idx").path, {}));
  } catch (const unnoise::Error&) {
  }
  try {
    look_at(*unnoise::open_npz(AsFile(data, size, ".npz").path, "train"));
  } catch (const unnoise::Error&) {
  }
  return 0;
}
