#include "unnoise/data/imagefolder_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

struct SplitWords {
  std::string_view split;
  std::array<std::string_view, 4> words;  // "" = none
};
constexpr std::array<SplitWords, 3> kSplits{{
    {"train", {"train", "training"}},
    {"validation", {"validation", "valid", "dev", "val"}},
    {"test", {"test", "testing", "eval", "evaluation"}},
}};

constexpr bool is_separator(char c) { return c == '-' || c == '.' || c == '_' || c == ' ' || (c >= '0' && c <= '9'); }

/// How `word` stands in `name` between separators: 0 alone, 1 at the start, 2 at the end, 3 inside; -1 = not at all.
int word_position(std::string_view name, std::string_view word) {
  int best = -1;
  for (size_t at = name.find(word); at != std::string_view::npos; at = name.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool open = at == 0 || is_separator(name[at - 1]);
    const bool closed = end == name.size() || is_separator(name[end]);
    if (!open || !closed) continue;
    const int position = (at == 0 ? 0 : 2) + (end == name.size() ? 0 : 1);
    if (best < 0 || position < best) best = position;
  }
  return best;
}

/// The order of the pattern that puts `path` into a split; nothing if none does.
std::optional<int> pattern_rank(std::string_view path, const SplitWords& split, SplitRule rule) {
  std::optional<int> best;
  for (int w = 0; w < 4 && !split.words[w].empty(); ++w) {
    size_t begin = 0;
    for (size_t slash = path.find('/'); begin <= path.size(); slash = path.find('/', begin)) {
      const bool is_file = slash == std::string_view::npos;
      const auto part = path.substr(begin, is_file ? slash : slash - begin);
      begin = is_file ? path.size() + 1 : slash + 1;
      if (is_file != (rule == SplitRule::file_names)) continue;
      const int position = word_position(part, split.words[w]);
      const bool caught =
          is_file ? position == 1 || position == 3 : position >= 0;  // a file name goes on after the word
      if (caught && (!best || w * 4 + position < *best)) best = w * 4 + position;
    }
  }
  return best;
}

FolderSplits splits_by(SplitRule rule, const std::vector<std::string>& files) {
  FolderSplits found{rule, {}};
  for (const auto& split : kSplits) {
    std::vector<std::pair<int, const std::string*>> members;
    for (const auto& file : files)
      if (const auto rank = pattern_rank(file, split, rule)) members.emplace_back(*rank, &file);
    if (members.empty()) continue;
    std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> paths;
    for (const auto& [rank, file] : members) paths.push_back(*file);
    found.splits.emplace_back(split.split, std::move(paths));
  }
  return found;
}

int64_t depth_of(std::string_view path) { return std::count(path.begin(), path.end(), '/'); }

void list_into(const fs::path& folder, const std::string& prefix, std::vector<std::string>& files) {
  std::error_code ec;
  auto entries = fs::directory_iterator(folder, ec);
  for (; !ec && entries != fs::directory_iterator(); entries.increment(ec)) {
    const std::string name = entries->path().filename().string();
    std::error_code unreadable;  // a dangling link is no file
    if (name.starts_with('.')) continue;
    if (entries->is_directory(unreadable) && !entries->is_symlink(unreadable)) {
      if (!name.starts_with("__")) list_into(entries->path(), prefix + name + "/", files);
    } else if (entries->is_regular_file(unreadable)) {
      files.push_back(prefix + name);
    }
  }
  if (ec) throw environment_error(fmt::format("cannot list the folder \"{}\": {}", folder.string(), ec.message()));
}

}  // namespace

std::vector<std::string> list_visible_files(const fs::path& root) {
  std::vector<std::string> files;
  list_into(root, "", files);
  std::sort(files.begin(), files.end());
  return files;
}

std::string split_name(std::string_view spelling) {
  for (const auto& split : kSplits)
    for (const auto word : split.words)
      if (!word.empty() && word == spelling) return std::string(split.split);
  throw usage_error(fmt::format("split \"{}\": expected train, validation or test", spelling));
}

const std::vector<std::string>* FolderSplits::find(std::string_view split) const {
  for (const auto& [name, files] : splits)
    if (name == split) return &files;
  return nullptr;
}

FolderSplits split_files(const std::vector<std::string>& files, std::string_view wanted) {
  if (auto by_folder = splits_by(SplitRule::folders, files); !by_folder.splits.empty()) return by_folder;
  if (auto by_name = splits_by(SplitRule::file_names, files); by_name.find(wanted)) return by_name;
  FolderSplits whole;
  if (!files.empty()) whole.splits.emplace_back("train", files);
  return whole;
}

std::optional<std::vector<std::string>> folder_classes(const FolderSplits& splits, std::string_view split) {
  const auto* own = splits.find(split);
  if (!own || own->empty()) return std::nullopt;
  const int64_t depth = depth_of(own->front());
  std::set<std::string> classes;
  for (const auto& path : *own) {
    if (depth_of(path) != depth) return std::nullopt;
    classes.emplace(parent_folder(path));
  }
  if (classes.size() < 2) return std::nullopt;
  for (const auto& [name, files] : splits.splits)
    for (const auto& path : files)
      if (depth_of(path) == depth) classes.emplace(parent_folder(path));
  return std::vector<std::string>(classes.begin(), classes.end());
}

std::string_view parent_folder(std::string_view path) {
  const size_t end = path.rfind('/');
  if (end == std::string_view::npos) return {};
  const auto folder = path.substr(0, end);
  return folder.substr(folder.rfind('/') + 1);  // npos + 1 = 0
}

}  // namespace unnoise
