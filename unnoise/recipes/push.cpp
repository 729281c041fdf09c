#include "unnoise/recipes/push.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/hub/upload.h"
#include "unnoise/io/model_card.h"
#include "unnoise/io/zip_write.h"
#include "unnoise/recipes/card.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/shared_files.h"

namespace unnoise {
namespace {

void check_push(const PushOptions& o) {
  const bool is_dataset = o.repo_type == RepoType::dataset;
  if (is_dataset && (!o.model.empty() || !o.include.empty()))
    throw usage_error("--repo-type dataset: a data set is named by --data, and --model and --include are of a model's",
                      "unnoise push --repo-type dataset --data my-set --repo USER/NAME");
  if (!is_dataset && !o.data.empty())
    throw usage_error("--data: a data set goes to a repository of its own kind", "Add --repo-type dataset.");
  if (is_dataset && o.data.empty()) throw usage_error("--data: which data set?", "--data my-set");
  if (!is_dataset && o.model.empty()) throw usage_error("--model: which model folder?", "--model my-model");
  if (!o.repo && !o.export_to && !o.dry_run)
    throw usage_error("nowhere to: neither --repo nor --export was given",
                      "--repo USER/NAME uploads to the hub; --export my-model.zip writes a file that you can send.");
  if (o.repo && o.export_to) throw usage_error("--repo and --export: give one of them");
  if (o.repo) check_repository("--repo", *o.repo, true);
  check_revision("--revision", o.revision);
  if (o.commit_message && o.commit_message->empty()) throw usage_error("--commit-message: a commit needs one");
}

uint64_t bytes_of(const std::vector<SharedFile>& files) {
  uint64_t bytes = 0;
  for (const auto& file : files) bytes += fs::file_size(file.path);
  return bytes;
}

std::string listing(const std::vector<SharedFile>& files) {
  std::string text;
  for (const auto& file : files)
    text += fmt::format("{:>10}  {}\n", human_bytes(static_cast<double>(fs::file_size(file.path))), file.name);
  return text + fmt::format("{:>10}  in {} files\n", human_bytes(static_cast<double>(bytes_of(files))), files.size());
}

void export_files(const std::vector<SharedFile>& files, const fs::path& to) {
  if (to.extension() == ".zip") {
    // Inside, all lies in a folder of the archive's name, so that unpacking makes one folder.
    const std::string folder = to.stem().string() + "/";
    std::vector<ZipSource> sources;
    for (const auto& file : files) sources.push_back({folder + file.name, file.path});
    if (to.has_parent_path()) make_folders(to.parent_path());
    write_zip(to, sources);
    return;
  }
  if (fs::exists(to) && (!fs::is_directory(to) || !fs::is_empty(to)))
    throw usage_error(fmt::format("--export: \"{}\" is there already", to.string()),
                      "Name a folder that does not exist yet, or a .zip file, which is replaced.");
  write_folder_atomic(to, [&](const fs::path& folder) {
    for (const auto& file : files) {
      make_folders((folder / file.name).parent_path());
      fs::copy_file(file.path, folder / file.name);
    }
  });
}

std::vector<SharedFile> files_of(const PushOptions& o) {
  return o.repo_type == RepoType::dataset ? shared_dataset_files(o.data) : shared_files(o.model, o.include);
}

std::string message_of(const PushOptions& o) {
  return o.commit_message.value_or(o.repo_type == RepoType::dataset ? "Upload a data set with unnoise"
                                                                    : "Upload a model with unnoise");
}

void advise_on_dataset(const fs::path& dataset, const Observer& observer) {
  if (read_license(dataset).empty())
    observer.warn(
        "the card states no licence, so nobody may use the pictures: write it into the first lines of README.md, or "
        "unnoise data build --license cc-by-4.0 (or another)");
}

void advise_on_model(const fs::path& model, const Observer& observer) {
  if (!fs::exists(model / "README.md"))
    observer.warn(fmt::format("there is no card: others will not know what this is. unnoise card --model {} writes one",
                              model.string()));
  else if (read_license(model).empty())
    observer.warn(
        fmt::format("the card states no licence, so nobody may use the model: unnoise card --model {} "
                    "--license apache-2.0 (or another)",
                    model.string()));
}

/// A card that nobody has changed says how to load the model by its new name.
void renew_card(const std::string& model, const std::string& repository) {
  const fs::path path = fs::path(model) / "README.md";
  if (!fs::is_regular_file(path) || fs::is_symlink(path) || !is_untouched_card(read_file(path))) return;
  CardOptions card;
  card.model = model;
  card.name = repository;
  write_card(card);
}

std::string upload(const PushOptions& o, const Observer& observer, std::stop_token stop) {
  HubClient client(hub_settings(o), observer, stop);
  const HubRepository repository = client.create_repository({*o.repo, o.repo_type}, o.is_private);
  if (repository.type == RepoType::model) renew_card(o.model, repository.name);
  const auto files = files_of(o);
  if (o.revision != "main") client.create_branch(repository, o.revision);
  std::vector<UploadFile> uploads;
  for (const auto& file : files) uploads.push_back({file.name, file.path});
  const Uploaded done = upload_files(client, repository, o.revision, uploads, {message_of(o), o.commit_description});
  std::string text = done.commit.empty()
                         ? fmt::format("nothing to do: all {} files are there already\n", done.unchanged)
                         : fmt::format("{} files in commit {}{}\n", done.files, done.commit.substr(0, 8),
                                       done.unchanged ? fmt::format(", {} unchanged", done.unchanged) : "");
  const std::string branch = o.revision == "main" ? "" : "/tree/" + o.revision;
  return text + fmt::format("{}{}{}\n", client.settings().endpoint, repository.page_path(), branch);
}

}  // namespace

PushResult push(const PushOptions& options, const Observer& observer, std::stop_token stop) {
  check_push(options);
  const auto files = files_of(options);
  if (options.dry_run) return {JobStatus::done, listing(files)};
  if (options.repo_type == RepoType::dataset) {
    advise_on_dataset(options.data, observer);
  } else {
    advise_on_model(options.model, observer);
  }
  if (options.export_to) {
    export_files(files, *options.export_to);
    return {JobStatus::done, listing(files) + *options.export_to + "\n"};
  }
  try {
    return {JobStatus::done, upload(options, observer, stop)};
  } catch (const Stopped&) {
    observer.info(
        "stopped; the repository is as before. The same command goes on: files that arrived whole are not sent twice");
    return {JobStatus::interrupted, ""};
  }
}

}  // namespace unnoise
