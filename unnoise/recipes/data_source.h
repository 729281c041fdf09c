// Opening what the actions of `unnoise data` were given.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/data/dataset.h"
#include "unnoise/recipes/data_options.h"

namespace unnoise {

/// Every split. Error::usage when nothing was given.
std::vector<SplitDataset> open_source(const DataSource& source, const Observer& observer);

/// Pictures i of split s.
struct PictureRef {
  size_t split = 0;
  int64_t index = 0;
  bool operator==(const PictureRef&) const = default;
};

/// Error::usage when the folder exists and may not be replaced.
void check_new_folder(const std::string& folder, bool overwrite);

/// One file of a folder that write_folder_atomic fills: it syncs them all at the end, which is far quicker than one by
/// one.
void write_part(const fs::path& file, std::string_view bytes);

/// The picture's own file, or its pixels as PNG.
PictureFile picture_file(const Dataset& data, int64_t i);

}  // namespace unnoise
