#include "unnoise/recipes/pull.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/hub/download.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

std::string extension_of(const HubFile& file) { return fs::path(file.path).extension().string(); }
std::string folder_of(const HubFile& file) { return fs::path(file.path).parent_path().string(); }

/// What a pipeline is loaded from: configurations, weights, the card. Weights as .bin only where there are no
/// safetensors; nothing of training runs.
std::vector<HubFile> pipeline_files(const std::vector<HubFile>& all) {
  constexpr std::array<std::string_view, 4> kWanted = {".json", ".safetensors", ".bin", ".txt"};
  std::set<std::string> with_safetensors;
  for (const auto& file : all)
    if (extension_of(file) == ".safetensors") with_safetensors.insert(folder_of(file));
  std::vector<HubFile> wanted;
  for (const auto& file : all) {
    const bool is_run = file.path.starts_with("checkpoint-") || file.path.starts_with("logs/");
    const bool is_second = extension_of(file) == ".bin" && with_safetensors.contains(folder_of(file));
    const bool is_kind = std::find(kWanted.begin(), kWanted.end(), extension_of(file)) != kWanted.end();
    if (file.path == "README.md" || (is_kind && !is_run && !is_second)) wanted.push_back(file);
  }
  return wanted;
}

std::vector<HubFile> all_files(const std::vector<HubFile>& all) { return all; }

void copy_snapshot(const Snapshot& snapshot, const fs::path& to) {
  write_folder_atomic(to, [&](const fs::path& folder) {
    for (const auto& file : snapshot.files) {
      make_folders((folder / file.path).parent_path());
      fs::copy_file(snapshot.folder / file.path, folder / file.path);
    }
  });
}

HubName checked_name(const PullOptions& o) {
  if (o.names.size() != 1)
    throw usage_error(o.names.empty() ? "which repository?" : "one repository at a time", "unnoise pull USER/NAME");
  auto name = hub_name(o.names[0], o.repo_type);
  if (!name) check_repository("pull", o.names[0]);  // says what is wrong with it
  if (!name) throw usage_error(fmt::format("\"{}\": expected USER/NAME or USER/NAME@REVISION", o.names[0]));
  if (o.revision) {
    check_revision("--revision", *o.revision);
    name->revision = *o.revision;
  }
  if (o.output && fs::exists(*o.output) && (!fs::is_directory(*o.output) || !fs::is_empty(*o.output)))
    throw usage_error(fmt::format("--output: \"{}\" is there already", *o.output),
                      "Name a folder that does not exist yet.");
  return *name;
}

/// What find_model and find_dataset have in common.
std::string find_on_hub(const std::string& text, RepoType type, const ChooseFiles& choose, const HubSettings& settings,
                        const Observer& observer, std::stop_token stop) {
  std::error_code ec;
  const auto name = hub_name(text, type);
  if (!name || fs::exists(text, ec) || fs::is_directory(fs::path(text).parent_path(), ec)) return text;
  if (!settings.offline) {
    try {
      HubClient client(settings, observer, stop);
      const Snapshot found = download_snapshot(client, name->repository, name->revision, choose);
      if (found.fetched > 0)
        observer.info(fmt::format("{}: {} fetched", text, human_bytes(static_cast<double>(found.fetched))));
      return found.folder.string();
    } catch (const Stopped&) {
      return {};
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::environment)  // it is not there, or not what it should be
        throw Error(e.kind(), fmt::format("{}; a folder \"{}\" is not here either", e.message(), text), e.hint());
      try {
        const Snapshot known = cached_snapshot(settings, name->repository, name->revision, choose);
        observer.warn(
            fmt::format("{}; using commit {} that was fetched before", e.message(), known.commit.substr(0, 8)));
        return known.folder.string();
      } catch (const Error& cached) {
        throw environment_error(
            fmt::format("a folder \"{}\" is not here, and {}; {}", text, e.message(), cached.message()), e.hint());
      }
    }
  }
  return cached_snapshot(settings, name->repository, name->revision, choose).folder.string();
}

}  // namespace

PullResult pull(const PullOptions& options, const Observer& observer, std::stop_token stop) {
  const HubName name = checked_name(options);
  const HubSettings settings = hub_settings(options);
  try {
    Snapshot snapshot;
    if (settings.offline) {
      snapshot = cached_snapshot(settings, name.repository, name.revision, all_files);
    } else {
      HubClient client(settings, observer, stop);
      snapshot = download_snapshot(client, name.repository, name.revision, all_files);
    }
    observer.info(fmt::format("{} at commit {}: {} files, {} fetched", name.repository.name,
                              snapshot.commit.substr(0, 8), snapshot.files.size(),
                              human_bytes(static_cast<double>(snapshot.fetched))));
    if (!options.output) return {JobStatus::done, snapshot.folder.string()};
    copy_snapshot(snapshot, *options.output);
    return {JobStatus::done, *options.output};
  } catch (const Stopped&) {
    observer.info("stopped; the same command goes on from here");
    return {JobStatus::interrupted, ""};
  }
}

std::string find_model(const std::string& model, const HubOptions& hub, const Observer& observer,
                       std::stop_token stop) {
  return find_on_hub(model, RepoType::model, pipeline_files, hub_settings(hub), observer, stop);
}

std::string find_dataset(const std::string& dataset, const HubOptions& hub, const Observer& observer,
                         std::stop_token stop) {
  return find_on_hub(dataset, RepoType::dataset, all_files, hub_settings(hub), observer, stop);
}

std::string hub_label(const std::string& path) {
  const auto name = name_of_snapshot(path);
  return name ? name->repository.name + "@" + name->revision : path;
}

}  // namespace unnoise
