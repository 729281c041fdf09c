// Which files of a model folder, or of a data set, are shown to others.
#pragma once

#include <string>
#include <vector>

#include "unnoise/core/files.h"

namespace unnoise {

struct SharedFile {
  std::string name;  ///< below the model folder, with slashes: "unet/config.json"
  fs::path path;
};

/// What diffusers' push uploads - model_index.json, the folders of its components (or the files of a flat model) and
/// the card - and the pictures that the card shows. `include` adds of a training run: "run" (options.json, log.jsonl,
/// loss.csv, loss.svg, samples, logs) and "checkpoints". Sorted by name. Error::data when the folder holds no model, or
/// a component that its index names is not there; Error::usage for another word in `include`.
std::vector<SharedFile> shared_files(const fs::path& model, const std::vector<std::string>& include = {});

/// What `unnoise data build` wrote: the card, the shards below data/, licences. Error::data when that is not there.
std::vector<SharedFile> shared_dataset_files(const fs::path& dataset);

/// The pictures of a Markdown text that lie beside it: "![loss](loss.svg)" gives "loss.svg".
std::vector<std::string> pictures_of_card(const std::string& markdown);

}  // namespace unnoise
