// From the packages of the sets known by name to folders that open_dataset reads.
#pragma once

#include <stop_token>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/observer.h"
#include "unnoise/data/known_sets.h"
#include "unnoise/recipes/data_options.h"

namespace unnoise {

/// A package besides the set's own that it needs: fluent-emoji's names are in another one.
struct ExtraPackage {
  std::string package;
  std::string version;
  std::string sha256;  ///< of its file
};
std::vector<ExtraPackage> extra_packages(const KnownSet& set);

/// Writes the set's pictures, labels and captions, and LICENCES.md, into `into`. `packages` are the downloaded files,
/// the set's own first.
void unpack_known_set(const KnownSet& set, const std::vector<fs::path>& packages, const fs::path& into,
                      const DataGetOptions& options, const Observer& observer, const std::stop_token& stop);

}  // namespace unnoise
