// Models and data sets from a hub, by name.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/observer.h"
#include "unnoise/hub/repository.h"
#include "unnoise/recipes/hub_options.h"
#include "unnoise/recipes/job.h"

namespace unnoise {

struct PullOptions : HubOptions {
  std::vector<std::string> names;
  RepoType repo_type = RepoType::model;
  std::optional<std::string> revision;
  std::optional<std::string> output;

  static constexpr auto fields() {
    using O = PullOptions;
    return std::tuple_cat(
        std::tuple{
            field("names", &O::names, "USER/NAME or USER/NAME@REVISION; can stand without the flag"),
            field("repo_type", &O::repo_type, "model, or dataset: a set of pictures"),
            field("revision", &O::revision, "branch, tag or commit; default: main"),
            field("output", &O::output,
                  "new folder for a copy that is yours; default: the folder of downloads, where --model USER/NAME, "
                  "--dataset-name USER/NAME and Python find it"),
        },
        hub_fields());
  }
};

struct PullResult {
  JobStatus status = JobStatus::done;
  std::string folder;  ///< where the files are
};

/// All files of a repository, verified; those that are in the cache are not fetched again.
PullResult pull(const PullOptions& options, const Observer& observer = {}, std::stop_token stop = {});

/// The folder that `--model` means. A path that exists, or whose parent folder does, or that is no
/// "USER/NAME[@REVISION]", is itself; a name is looked for on the hub, its pipeline's files are fetched to the cache
/// unless they are there, and the snapshot's folder is given. Without a network the cache has to do: Error::environment
/// that names what is missing. Throws Error; gives "" when stopped.
std::string find_model(const std::string& model, const HubOptions& hub, const Observer& observer = {},
                       std::stop_token stop = {});
/// The same for `--dataset-name`, `--data` and the like: a data set of the hub, all its files.
std::string find_dataset(const std::string& dataset, const HubOptions& hub, const Observer& observer = {},
                         std::stop_token stop = {});

/// The other way, for files that others read: a folder in the cache as "user/name@commit", any other path as it is.
std::string hub_label(const std::string& path);

}  // namespace unnoise
