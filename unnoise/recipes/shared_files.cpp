#include "unnoise/recipes/shared_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "unnoise/core/error.h"
#include "unnoise/hub/repository.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/recipes/run_folder.h"

namespace unnoise {
namespace {

constexpr const char* kRunFiles[] = {"options.json", "run.json", "evaluation.json", "recipe.json", "result.json",
                                     "log.jsonl",    "loss.csv", "loss.svg",        "grid.png",    "samples",
                                     "logs"};

/// Files of a save that was cut off, of editors and of systems.
bool is_leftover(const std::string& name) { return name.starts_with('.') || name.find(".tmp-") != std::string::npos; }

class Collection {
 public:
  explicit Collection(const fs::path& root) : root_(root) {}

  /// A file, or all files of a folder, at any depth; nothing when it is not there.
  void add(const fs::path& name) {
    if (fs::is_regular_file(root_ / name)) files_[name.generic_string()] = root_ / name;
    if (!fs::is_directory(root_ / name)) return;
    for (auto at = fs::recursive_directory_iterator(root_ / name); at != fs::recursive_directory_iterator(); ++at) {
      const bool skip = is_leftover(at->path().filename().string());
      if (skip && at->is_directory()) at.disable_recursion_pending();
      if (!skip && at->is_regular_file()) files_[at->path().lexically_relative(root_).generic_string()] = at->path();
    }
  }

  std::vector<SharedFile> sorted() const {
    std::vector<SharedFile> files;
    for (const auto& [name, path] : files_) files.push_back({name, path});
    return files;
  }

 private:
  const fs::path& root_;
  std::map<std::string, fs::path> files_;
};

/// "unet": ["diffusers", "UNet2DModel"]; a component that is absent has nulls.
bool is_component(const Json& value) {
  return value.is_array() && value.size() == 2 && value[0].is_string() && value[1].is_string();
}

void add_components(const fs::path& model, const Json& index, Collection& files) {
  bool is_flat = true;
  for (const auto& [name, value] : index.items())
    if (is_component(value) && is_path_below(name)) is_flat = is_flat && !fs::is_directory(model / name);
  for (const auto& [name, value] : index.items()) {
    if (!is_component(value) || !is_path_below(name)) continue;
    if (!is_flat && !fs::is_directory(model / name))
      throw data_error(
          fmt::format("\"{}\": model_index.json names a component \"{}\", which is not there", model.string(), name),
          "Was the model saved to its end? Train on, or push another folder.");
    files.add(name);
  }
  if (!is_flat) return;
  for (const auto& entry : fs::directory_iterator(model)) {
    const std::string name = entry.path().filename().string(), extension = entry.path().extension().string();
    const bool is_log = name == "options.json" || name == "run.json" || name == "recipe.json" ||
                        name == "result.json" || name == "evaluation.json";
    if (is_leftover(name) || is_log) continue;
    if (extension == ".json" || extension == ".safetensors" || extension == ".bin") files.add(name);
  }
}

}  // namespace

std::vector<std::string> pictures_of_card(const std::string& markdown) {
  std::vector<std::string> pictures;
  for (size_t at = markdown.find("!["); at != std::string::npos; at = markdown.find("![", at + 2)) {
    const size_t begin = markdown.find("](", at), end = markdown.find(')', begin);
    if (begin == std::string::npos || end == std::string::npos) break;
    const std::string target = markdown.substr(begin + 2, end - begin - 2);
    if (target.find("://") == std::string::npos && is_path_below(target)) pictures.push_back(target);
  }
  return pictures;
}

std::vector<SharedFile> shared_files(const fs::path& model, const std::vector<std::string>& include) {
  const Json index = load_model_index(model);
  Collection files(model);
  files.add("model_index.json");
  add_components(model, index, files);
  for (const char* name : {"README.md", "LICENSE", "LICENSE.md", "LICENSE.txt"}) files.add(name);
  if (fs::is_regular_file(model / "README.md"))
    for (const auto& picture : pictures_of_card(read_file(model / "README.md"))) files.add(picture);
  for (const auto& what : include) {
    if (what == "run") {
      for (const char* name : kRunFiles) files.add(name);
    } else if (what == "checkpoints") {
      for (const int64_t step : checkpoint_steps(model)) files.add(fmt::format("checkpoint-{}", step));
    } else {
      throw usage_error(fmt::format("--include: \"{}\" is not one of run, checkpoints", what));
    }
  }
  return files.sorted();
}

}  // namespace unnoise
