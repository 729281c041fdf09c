// Which of many things to show when there is room for a few.
#pragma once

#include <cstdint>
#include <vector>

namespace unnoise {

/// `count` >= 0 of the numbers 0 to total - 1 (all when there are fewer), rising, evenly spaced, the first and the last
/// among them.
std::vector<int64_t> evenly_spaced(int64_t total, int64_t count);

}  // namespace unnoise
