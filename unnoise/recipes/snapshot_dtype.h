// The choice of --ema-snapshot-dtype.
#pragma once

#include <array>
#include <utility>

namespace unnoise {

enum class SnapshotDtype { float16, float32 };
constexpr auto enum_names(SnapshotDtype) {
  return std::array{std::pair{SnapshotDtype::float16, "float16"}, std::pair{SnapshotDtype::float32, "float32"}};
}

}  // namespace unnoise
