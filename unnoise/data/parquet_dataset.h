// Sets of pictures in Parquet shards: what the Hugging Face hub and `unnoise data build` hold.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "unnoise/data/dataset.h"

namespace unnoise {

/// The Parquet files below `folder` (relative, sorted; files of metadata are none of them).
std::vector<std::string> parquet_files(const fs::path& folder);

/// Opens the shards of a split. Which file is of which split: imagefolder_rule.h ("data/train-00000-of-00002.parquet").
/// With `config`, only those in the folder of that name. Error::data when the folder has no such split, or when there
/// are several configurations and none is named.
std::shared_ptr<const Dataset> open_parquet_folder(const fs::path& folder, const std::string& split,
                                                   const std::string& config, const Observer& observer = {});

/// Opens files as one set, in the order given.
///
/// - Pictures: the column that the file's own features call Image, else `image`, `img` or the first with bytes; an
/// Error::data that lists the columns when there is none.
/// - Classes: the column that the features call ClassLabel (`label` before others), with its names; else a column
/// `label` of whole numbers or words. A set where a label is missing (null or -1) counts as one without classes.
/// - All other columns are columns(i).
/// Row groups are unpacked when a picture of theirs is read, and the last ones kept, within 512 MiB.
std::shared_ptr<const Dataset> open_parquet_files(const std::vector<fs::path>& files, const Observer& observer = {});

}  // namespace unnoise
