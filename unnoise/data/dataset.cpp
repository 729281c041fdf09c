#include "unnoise/data/dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/core/fields.h"
#include "unnoise/data/folder_dataset.h"
#include "unnoise/data/idx.h"
#include "unnoise/data/imagefolder_rule.h"

namespace unnoise {
namespace {

/// A set that a system package installs as IDX files in a folder of the same name.
struct KnownSet {
  std::string name;
  std::string package;
  std::vector<std::string> label_names;
};

const std::vector<KnownSet>& known_sets() {
  static const std::vector<KnownSet> sets = {
      {"fashion-mnist",
       "dataset-fashion-mnist",
       {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}},
  };
  return sets;
}

std::shared_ptr<const Dataset> open_known(const KnownSet& set, const DatasetOptions& options,
                                          const std::string& split) {
  std::vector<std::string> looked;
  for (const auto& root : options.installed_sets) {
    const fs::path folder = root / set.name;
    if (!has_idx_images(folder)) {
      looked.push_back(folder.string());
      continue;
    }
    if (const auto images = idx_images_in(folder, split))
      return open_idx_files(*images, labels_beside(*images), set.label_names);
    throw data_error(fmt::format("{} has no split \"{}\", only train and test", set.name, split));
  }
  throw data_error(
      fmt::format("the data set {} is not installed: looked in {}", set.name, fmt::join(looked, ", ")),
      fmt::format("Install it on Debian or Ubuntu with: apt-get install {}\nElsewhere, give a folder that holds its "
                  "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz.",
                  set.package));
}

std::shared_ptr<const Dataset> open_directory(const fs::path& path, const std::string& split,
                                              const DatasetOptions& options, const Observer& observer) {
  if (!has_idx_images(path)) return open_folder(path, split, options.strict, observer);
  const auto images = idx_images_in(path, split);
  if (!images)
    throw data_error(
        fmt::format("\"{}\" holds IDX files, but no images file of the split \"{}\"", path.string(), split),
        "Expected a name such as train-images-idx3-ubyte.gz or t10k-images-idx3-ubyte.gz.");
  return open_idx_files(*images, labels_beside(*images));
}

std::shared_ptr<const Dataset> open_file(const fs::path& path) {
  if (is_idx_images(path)) return open_idx_files(path, labels_beside(path));
  const std::string hint = is_image_name(path) ? "Give the folder that the picture lies in."
                                               : "Give a folder of pictures; unpack archives first.";
  throw data_error(
      fmt::format("\"{}\": expected a folder of pictures or an IDX images file, found another kind of file",
                  path.string()),
      hint);
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
  hint += fmt::format("Give a folder of pictures, an IDX file, or one of the names: {}.",
                      fmt::join(known_datasets(), ", "));
  if (looks_like_hub_id(name) && !fs::is_directory(parent, ec))
    return usage_error(
        fmt::format("\"{}\": there is no such folder, and data sets of the Hugging Face Hub cannot be fetched yet",
                    name),
        hint + " A Hub data set can be downloaded as a folder of pictures first.");
  return data_error(fmt::format("\"{}\": no such folder or file", name), hint);
}

}  // namespace

std::optional<int64_t> Dataset::label(int64_t) const { return std::nullopt; }
std::vector<std::string> Dataset::label_names() const { return {}; }
Json Dataset::columns(int64_t) const { return Json::object(); }

std::optional<std::string> Dataset::text(int64_t i) const {
  const Json all = columns(i);
  const auto found = all.find("text");
  if (found == all.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::shared_ptr<const Dataset> open_dataset(const DatasetOptions& options, const Observer& observer) {
  if (options.path_or_name.empty())
    throw usage_error("no training data given", "Give a folder of pictures, or a name such as fashion-mnist.");
  const std::string split = split_name(options.split);
  const fs::path path = options.path_or_name;
  std::error_code ec;
  if (fs::is_directory(path, ec)) return open_directory(path, split, options, observer);
  if (fs::exists(path, ec)) return open_file(path);
  for (const auto& set : known_sets())
    if (set.name == options.path_or_name) return open_known(set, options, split);
  throw nothing_there(options.path_or_name);
}

std::vector<std::string> known_datasets() {
  std::vector<std::string> names;
  for (const auto& set : known_sets()) names.push_back(set.name);
  return names;
}

}  // namespace unnoise
