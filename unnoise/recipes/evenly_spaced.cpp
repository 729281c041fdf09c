#include "unnoise/recipes/evenly_spaced.h"

#include <algorithm>

namespace unnoise {

std::vector<int64_t> evenly_spaced(int64_t total, int64_t count) {
  count = std::min(count, total);
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < count; ++i)
    numbers.push_back(count == 1 ? 0 : (i * (total - 1) + (count - 1) / 2) / (count - 1));
  return numbers;
}

}  // namespace unnoise
