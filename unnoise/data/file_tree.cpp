#include "unnoise/data/file_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"
#include "unnoise/data/imagefolder_rule.h"

namespace unnoise {
namespace {

class FolderTree final : public FileTree {
 public:
  explicit FolderTree(fs::path root) : root_(std::move(root)) {
    where_ = root_.string();
    files_ = list_visible_files(root_);
  }
  SharedBytes read(const std::string& path) const override {
    constexpr uintmax_t kWorthMapping = 1 << 20;
    std::error_code ec;
    const auto size = fs::file_size(root_ / path, ec);
    return !ec && size >= kWorthMapping ? map_file(root_ / path) : copy_bytes(read_file(root_ / path));
  }
  PictureProbe probe(const std::string& path) const override { return probe_picture_file(root_ / path); }

 private:
  fs::path root_;
};

class MountedTrees final : public FileTree {
 public:
  using Part = std::pair<std::string, std::shared_ptr<const FileTree>>;

  MountedTrees(const fs::path& folder, std::vector<Part> parts) : parts_(std::move(parts)) {
    where_ = folder.string();
    is_archive_ = true;
    std::sort(parts_.begin(), parts_.end());
    for (const auto& [name, tree] : parts_) {
      mounts_.push_back(name);
      for (const auto& file : tree->files()) files_.push_back(name + "/" + file);
      for (const auto& [path, reason] : tree->skipped()) skipped_.push_back({name + "/" + path, reason});
    }
  }
  SharedBytes read(const std::string& path) const override {
    const auto [tree, rest] = find(path);
    if (!tree) throw data_error(fmt::format("\"{}\": no file \"{}\"", where_, path));
    return tree->read(rest);
  }
  PictureProbe probe(const std::string& path) const override {
    const auto [tree, rest] = find(path);
    return tree ? tree->probe(rest) : PictureProbe{std::nullopt, "does not exist"};
  }

 private:
  std::pair<const FileTree*, std::string> find(const std::string& path) const {
    for (const auto& [name, tree] : parts_)
      if (path.size() > name.size() && path.starts_with(name) && path[name.size()] == '/')
        return {tree.get(), path.substr(name.size() + 1)};
    return {nullptr, ""};
  }

  std::vector<Part> parts_;
};

}  // namespace

PictureProbe FileTree::probe(const std::string& path) const {
  try {
    return probe_picture(read(path).view());
  } catch (const Error&) {
    return {std::nullopt, std::binary_search(files_.begin(), files_.end(), path) ? "cannot be read" : "does not exist"};
  }
}

std::shared_ptr<const FileTree> folder_tree(const fs::path& root) { return std::make_shared<FolderTree>(root); }

std::shared_ptr<const FileTree> mounted_trees(
    const fs::path& folder, const std::vector<std::pair<std::string, std::shared_ptr<const FileTree>>>& trees) {
  return std::make_shared<MountedTrees>(folder, trees);
}

bool is_visible_path(std::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const auto part = path.substr(0, slash);
    if (part.starts_with('.') || (slash != std::string_view::npos && part.starts_with("__"))) return false;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return true;
}

std::string safe_member_path(std::string_view name, std::string_view where) {
  const auto refuse = [&](std::string_view why) {
    return data_error(
        fmt::format("{}: the name {} {}", where, Json(name).dump(-1, ' ', true, Json::error_handler_t::replace), why),
        "An archive made for pictures has no such names; do not trust this one.");
  };
  if (name.starts_with('/')) throw refuse("is an absolute path");
  if (name.find('\0') != std::string_view::npos) throw refuse("holds a NUL");
  if (name.find('\\') != std::string_view::npos) throw refuse("holds a backslash");
  if (name.size() >= 2 && name[1] == ':') throw refuse("begins with a drive letter");
  std::string path;
  for (std::string_view rest = name; !rest.empty();) {
    const auto part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part == "..") throw refuse("leads out of the archive");
    if (part.empty() || part == ".") continue;
    if (!path.empty()) path += '/';
    path += part;
  }
  return path;
}

}  // namespace unnoise
