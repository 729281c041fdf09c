#include "unnoise/data/dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <set>
#include <utility>

#include "unnoise/containers/archive.h"
#include "unnoise/core/error.h"
#include "unnoise/core/fields.h"
#include "unnoise/data/cifar.h"
#include "unnoise/data/folder_dataset.h"
#include "unnoise/data/idx.h"
#include "unnoise/data/imagefolder_rule.h"
#include "unnoise/data/known_sets.h"
#include "unnoise/data/metadata.h"
#include "unnoise/data/npz.h"
#include "unnoise/data/parquet_dataset.h"

namespace unnoise {
namespace {

bool is_parquet(const fs::path& file) { return file.extension() == ".parquet"; }
bool is_npz(const fs::path& file) { return file.extension() == ".npz"; }

/// The one file of a folder that is a set by itself, or the archives that it keeps its pictures in.
struct Packed {
  std::vector<fs::path> archives;
  std::vector<fs::path> npz;
  bool has_pictures = false;
};

Packed look_into(const fs::path& folder) {
  Packed found;
  for (const auto& file : list_visible_files(folder)) {
    found.has_pictures = found.has_pictures || is_image_name(file) || is_metadata_name(file);
    if (is_archive_name(file)) found.archives.push_back(file);
    if (is_npz(file)) found.npz.push_back(file);
  }
  return found;
}

/// A set that was found and looked at once, and whose splits can be opened one after the other.
struct Source {
  std::function<std::shared_ptr<const Dataset>(const std::string& split)> open;
  bool has_splits = true;  ///< false: a single file, which is whatever split one asks for
};

Source tree_source(std::shared_ptr<const FileTree> tree, const DatasetOptions& options, const Observer& observer) {
  if (is_cifar(*tree)) return {[tree](const std::string& split) { return open_cifar(tree, split); }};
  return {[tree, &options, &observer](const std::string& split) {
    return open_picture_tree(tree, split, options.strict, observer);
  }};
}

Source idx_source(const fs::path& path, const std::vector<std::string>& label_names = {}) {
  return {[path, label_names](const std::string& split) {
    const auto images = idx_images_in(path, split);
    if (!images)
      throw NoSuchSplit(
          fmt::format("\"{}\" holds IDX files, but no images file of the split \"{}\"", path.string(), split),
          "Expected a name such as train-images-idx3-ubyte.gz or t10k-images-idx3-ubyte.gz.");
    return open_idx_files(*images, labels_beside(*images), label_names);
  }};
}

Source npz_source(const fs::path& path) {
  return {[path](const std::string& split) { return open_npz(path, split); }};
}

Source folder_source(const fs::path& path, const DatasetOptions& options, const Observer& observer) {
  if (has_idx_images(path)) return idx_source(path);
  if (!parquet_files(path).empty())
    return {[path, &options, &observer](const std::string& split) {
      return open_parquet_folder(path, split, options.config, observer);
    }};
  const Packed packed = look_into(path);
  if (packed.has_pictures) return tree_source(folder_tree(path), options, observer);
  if (packed.archives.empty() && packed.npz.size() == 1) return npz_source(path / packed.npz[0]);
  if (packed.archives.empty()) return tree_source(folder_tree(path), options, observer);
  std::vector<std::pair<std::string, std::shared_ptr<const FileTree>>> trees;
  for (const auto& file : packed.archives)
    trees.emplace_back(file.generic_string(), archive_tree(path / file, options.scratch, observer));
  return tree_source(mounted_trees(path, trees), options, observer);
}

Source file_source(const fs::path& path, const DatasetOptions& options, const Observer& observer) {
  if (is_idx_images(path)) return {[path](auto&) { return open_idx_files(path, labels_beside(path)); }, false};
  if (is_parquet(path)) return {[path, &observer](auto&) { return open_parquet_files({path}, observer); }, false};
  if (is_npz(path)) return npz_source(path);
  if (is_archive_name(path)) return tree_source(archive_tree(path, options.scratch, observer), options, observer);
  throw data_error(
      fmt::format("\"{}\": expected a folder of pictures, an archive (zip, tar, tar.gz, tar.zst, ...), or a "
                  "Parquet, IDX or npz file; found another kind of file",
                  path.string()),
      is_image_name(path) ? "Give the folder that the picture lies in." : "");
}

Source known_source(const KnownSet& set, const DatasetOptions& options, const Observer& observer) {
  std::vector<std::string> looked;
  for (const auto& root : options.installed_sets) {
    const fs::path folder = root / set.name;
    std::error_code ec;
    if (fs::is_directory(folder, ec))
      return has_idx_images(folder) ? idx_source(folder, set.label_names) : folder_source(folder, options, observer);
    looked.push_back(folder.string());
  }
  throw data_error(fmt::format("the data set {} is not installed: looked in {}", set.name, fmt::join(looked, ", ")),
                   fmt::format("Install it with: unnoise data get {}", set.name));
}

/// "user/set", as the Hugging Face Hub names data sets; a path of two parts looks the same.
bool looks_like_hub_id(const std::string& name) {
  const auto slash = name.find('/');
  const auto is_word = [](std::string_view word) {
    return !word.empty() && word.front() != '.' && std::all_of(word.begin(), word.end(), [](unsigned char c) {
      return std::isalnum(c) || c == '-' || c == '_' || c == '.';
    });
  };
  return slash != std::string::npos && is_word(name.substr(0, slash)) && is_word(name.substr(slash + 1));
}

Error nothing_there(const std::string& name) {
  std::vector<std::string> near = known_datasets();
  const fs::path parent = fs::path(name).parent_path();
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(parent.empty() ? fs::path(".") : parent, ec))
    if (entry.is_directory(ec)) near.push_back((parent / entry.path().filename()).string());
  std::sort(near.begin(), near.end());
  const std::string guess = nearest_name(name, near);
  std::string hint = guess.empty() ? "" : fmt::format("Did you mean \"{}\"? ", guess);
  hint += fmt::format("Give a folder of pictures, an archive, a Parquet or IDX file, or one of the names: {}.",
                      fmt::join(known_datasets(), ", "));
  if (looks_like_hub_id(name) && !fs::is_directory(parent, ec))
    return usage_error(
        fmt::format("\"{}\": there is no such folder", name),
        hint + fmt::format(" A data set of the hub can be fetched first: unnoise pull --repo-type dataset {} "
                           "--output my-set",
                           name));
  return data_error(fmt::format("\"{}\": no such folder or file", name), hint);
}

/// `options` and `observer` must outlive it.
Source find_source(const DatasetOptions& options, const Observer& observer) {
  if (options.path_or_name.empty())
    throw usage_error("no data given", "Give a folder of pictures, or a name such as fashion-mnist.");
  const fs::path path = options.path_or_name;
  std::error_code ec;
  if (fs::is_directory(path, ec)) return folder_source(path, options, observer);
  if (fs::exists(path, ec)) return file_source(path, options, observer);
  if (const KnownSet* set = find_known_set(options.path_or_name)) return known_source(*set, options, observer);
  throw nothing_there(options.path_or_name);
}

}  // namespace

fs::path user_datasets_folder() {
  const passwd* user = ::getpwuid(::getuid());
  return fs::path(user && user->pw_dir && *user->pw_dir ? user->pw_dir : "/root") / ".local/share/unnoise/datasets";
}

std::optional<int64_t> Dataset::label(int64_t) const { return std::nullopt; }
std::vector<std::string> Dataset::label_names() const { return {}; }
Json Dataset::columns(int64_t) const { return Json::object(); }

std::optional<PictureFile> Dataset::file(int64_t) const { return std::nullopt; }

std::optional<std::string> Dataset::text(int64_t i) const {
  const Json all = columns(i);
  for (const char* name : {"text", "caption", "prompt"})
    if (const auto found = all.find(name); found != all.end() && found->is_string()) return found->get<std::string>();
  return std::nullopt;
}

std::shared_ptr<const Dataset> open_dataset(const DatasetOptions& options, const Observer& observer) {
  const std::string split = split_name(options.split);
  return find_source(options, observer).open(split);
}

std::shared_ptr<const Dataset> find_split(const DatasetOptions& options, const Observer& observer) {
  const std::string split = split_name(options.split);
  const Source source = find_source(options, observer);
  if (!source.has_splits) return nullptr;
  try {
    return source.open(split);
  } catch (const NoSuchSplit&) {
    return nullptr;
  }
}

std::vector<SplitDataset> open_splits(const DatasetOptions& options, const Observer& observer) {
  std::set<std::string> said;  // what is wrong with the whole set is found at each split
  Observer once = observer;
  once.on_log = [&](LogLevel level, const std::string& line) {
    if (observer.on_log && said.insert(line).second) observer.on_log(level, line);
  };
  const Source source = find_source(options, once);
  std::vector<SplitDataset> splits;
  std::exception_ptr missing;
  for (const char* split : {"train", "validation", "test"}) {
    try {
      splits.push_back({split, source.open(split)});
    } catch (const NoSuchSplit&) {
      if (!missing) missing = std::current_exception();
    }
    if (!source.has_splits) break;
  }
  if (splits.empty()) std::rethrow_exception(missing);
  return splits;
}

}  // namespace unnoise
