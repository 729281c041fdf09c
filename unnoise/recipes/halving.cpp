#include "unnoise/recipes/halving.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace unnoise {

std::vector<double> halving_rungs(int64_t n, int64_t eta) {
  std::vector<double> rungs = {1.0};
  if (eta < 2) return rungs;
  for (int64_t left = survivors(n, eta); n >= eta; left = survivors(n, eta)) {
    rungs.insert(rungs.begin(), rungs.front() / static_cast<double>(eta));
    n = left;
  }
  return rungs;
}

int64_t survivors(int64_t n, int64_t eta) { return std::max<int64_t>(1, n / std::max<int64_t>(1, eta)); }

std::vector<bool> lowest(const std::vector<double>& scores, int64_t keep) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto worth = [&](size_t i) { return std::isnan(scores[i]) ? HUGE_VAL : scores[i]; };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return worth(a) < worth(b); });
  std::vector<bool> kept(scores.size(), false);
  for (size_t i = 0; i < order.size() && static_cast<int64_t>(i) < keep; ++i) kept[order[i]] = true;
  return kept;
}

}  // namespace unnoise
