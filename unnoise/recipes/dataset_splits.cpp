#include "unnoise/recipes/dataset_splits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

void check_fractions(const SplitFractions& f) {
  const auto check = [](std::string_view flag, double value) {
    if (!(value >= 0 && value < 1)) throw usage_error(fmt::format("{}: expected 0 to below 1, found {}", flag, value));
  };
  check("--validation-fraction", f.validation_fraction);
  check("--test-fraction", f.test_fraction);
  if (f.validation_fraction + f.test_fraction >= 1)
    throw usage_error("--validation-fraction and --test-fraction leave nothing to train on");
  if (f.seed < 0) throw usage_error(fmt::format("--seed: expected at least 0, found {}", f.seed));
}

/// Which split each picture goes to: 0 train, 1 validation, 2 test.
std::vector<int> assign(const Dataset& data, const SplitFractions& f) {
  std::map<int64_t, std::vector<int64_t>> groups;
  for (int64_t i = 0; i < data.size(); ++i) groups[f.stratify ? data.label(i).value_or(0) : 0].push_back(i);
  std::vector<int> to(static_cast<size_t>(data.size()));
  Rng rng(static_cast<uint64_t>(f.seed));
  double owed_test = 0, owed_validation = 0;  // so that the rounding of many small classes adds up to the fractions
  for (const auto& [label, members] : groups) {
    const auto n = static_cast<double>(members.size());
    owed_test += f.test_fraction * n;
    owed_validation += f.validation_fraction * n;
    const auto test = static_cast<int64_t>(std::llround(owed_test));
    const auto validation = static_cast<int64_t>(std::llround(owed_validation));
    owed_test -= static_cast<double>(test);
    owed_validation -= static_cast<double>(validation);
    const Tensor order = rng.permutation(static_cast<int64_t>(members.size()));
    const int64_t* drawn = order.const_data_ptr<int64_t>();
    for (int64_t k = 0; k < static_cast<int64_t>(members.size()); ++k)
      to[static_cast<size_t>(members[static_cast<size_t>(drawn[k])])] = k < test ? 2 : k < test + validation ? 1 : 0;
  }
  return to;
}

}  // namespace

std::vector<SplitPart> plan_splits(const std::vector<SplitDataset>& source, const SplitFractions& fractions,
                                   bool cut_anyway) {
  check_fractions(fractions);
  std::vector<SplitPart> parts;
  if (source.size() > 1) {
    if (cut_anyway) {
      std::string names;
      for (const auto& split : source) names += (names.empty() ? "" : ", ") + split.split;
      throw usage_error(fmt::format("this set is split already: {}", names), "unnoise data build packs it as it is.");
    }
    for (size_t s = 0; s < source.size(); ++s) {
      parts.push_back({source[s].split, {}});
      for (int64_t i = 0; i < source[s].data->size(); ++i) parts.back().pictures.push_back({s, i});
    }
    return parts;
  }
  const Dataset& data = *source[0].data;
  const auto to = assign(data, fractions);
  for (int k = 0; k < 3; ++k) {
    SplitPart part{k == 0 ? "train" : k == 1 ? "validation" : "test", {}};
    for (int64_t i = 0; i < data.size(); ++i)
      if (to[static_cast<size_t>(i)] == k) part.pictures.push_back({0, i});
    if (!part.pictures.empty()) parts.push_back(std::move(part));
  }
  if (parts.empty() || parts[0].split != "train")
    throw usage_error(
        fmt::format("{} pictures are too few for these fractions: none is left to train on", data.size()));
  return parts;
}

}  // namespace unnoise
