// Give a trained model or a data set to others: to a hub, or as a folder or zip file.
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

struct PushOptions : HubOptions {
  std::string model;
  std::string data;
  RepoType repo_type = RepoType::model;
  std::optional<std::string> repo;
  bool is_private = false;
  std::string revision = "main";
  std::optional<std::string> commit_message;
  std::string commit_description;
  std::vector<std::string> include;
  std::optional<std::string> export_to;
  bool dry_run = false;

  static constexpr auto fields() {
    using O = PushOptions;
    return std::tuple_cat(
        std::tuple{
            section("What"),
            field("model", &O::model, "model folder: its pipeline and card are uploaded, not its checkpoints and logs"),
            field("include", &O::include,
                  "also of a training run: run (options, log, samples), checkpoints; a list of them"),
            field("repo_type", &O::repo_type, "model, or dataset for --data"),
            field("data", &O::data,
                  "with --repo-type dataset: folder that unnoise data build wrote, README.md and data/"),
            section("Where to"),
            field("repo", &O::repo, "USER/NAME; made when it does not exist; NAME alone is your own"),
            field("private", &O::is_private, "when it is made: for your eyes only"),
            field("revision", &O::revision, "branch; made when it does not exist"),
            field("commit_message", &O::commit_message, "default: Upload a model (or data set) with unnoise"),
            field("commit_description", &O::commit_description, "more words for the commit"),
            field("export", &O::export_to,
                  "instead: write the same files to this new folder, or FILE.zip; needs no account"),
            field("dry_run", &O::dry_run, "only list the files"),
        },
        hub_fields());
  }
};

struct PushResult {
  JobStatus status = JobStatus::done;
  std::string report;  ///< what was done, ready to print
};

/// Files that an earlier push brought there whole are not sent again, so that one that was cut off goes on. Throws
/// Error; then the repository is as before.
PushResult push(const PushOptions& options, const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
