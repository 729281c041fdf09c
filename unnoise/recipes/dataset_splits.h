// Cutting a set into training, validation and test pictures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "unnoise/recipes/data_options.h"
#include "unnoise/recipes/data_source.h"

namespace unnoise {

/// The pictures of one split, in the order in which they will be written: that of the source.
struct SplitPart {
  std::string split;
  std::vector<PictureRef> pictures;
};

/// Splits that the source has stay as they are. One that has none is cut by the fractions: within each class (or the
/// whole, without `stratify` or classes) a permutation drawn from the seed is cut so that the sizes are off by less
/// than one picture. Error::usage for fractions that leave nothing to train on, or when there are splits already and
/// `cut_anyway` is asked for.
std::vector<SplitPart> plan_splits(const std::vector<SplitDataset>& source, const SplitFractions& fractions,
                                   bool cut_anyway);

}  // namespace unnoise
