#include "unnoise/data/folder_dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "unnoise/core/error.h"
#include "unnoise/data/file_tree.h"
#include "unnoise/data/imagefolder_rule.h"
#include "unnoise/data/metadata.h"

namespace unnoise {
namespace {

struct Entry {
  std::string path;  // below the root, or absolute when metadata says so
  std::optional<int64_t> label;
  Json columns;
};

class FolderDataset final : public Dataset {
 public:
  FolderDataset(std::shared_ptr<const FileTree> tree, std::vector<Entry> entries, std::vector<std::string> label_names)
      : tree_(std::move(tree)), entries_(std::move(entries)), label_names_(std::move(label_names)) {}

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  std::string name(int64_t i) const override { return entries_.at(i).path; }
  std::optional<int64_t> label(int64_t i) const override { return entries_.at(i).label; }
  std::vector<std::string> label_names() const override { return label_names_; }
  Json columns(int64_t i) const override { return entries_.at(i).columns; }

  DecodedImage read(int64_t i) const override {
    const std::string& path = entries_.at(i).path;
    return decode_image(tree_->read(path).view(), fmt::format("\"{}/{}\"", tree_->where(), path));
  }
  std::optional<PictureFile> file(int64_t i) const override {
    const std::string& path = entries_.at(i).path;
    return PictureFile{std::string(tree_->read(path).view()), fs::path(path).filename().string()};
  }

 private:
  std::shared_ptr<const FileTree> tree_;
  std::vector<Entry> entries_;
  std::vector<std::string> label_names_;
};

/// What will not be used, with the reason, in a deterministic order.
using Skipped = SkippedFile;

/// One line: how many, and the first names.
std::string describe(const std::vector<Skipped>& skipped, std::string_view what) {
  constexpr size_t kNamed = 10;
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(skipped.size(), kNamed); ++i)
    names.push_back(fmt::format("\"{}\" {}", skipped[i].path, skipped[i].reason));
  if (skipped.size() > kNamed) names.push_back(fmt::format("and {} more", skipped.size() - kNamed));
  return fmt::format("{} {} {}: {}", skipped.size(), skipped.size() == 1 ? "file" : "files", what,
                     fmt::join(names, ", "));
}

/// Picture formats that the rule counts and we cannot read yet, and files that are never worth a word.
bool is_other_picture(const fs::path& path) {
  constexpr std::array kExtensions = {".ppm", ".pgm", ".tga", ".ico", ".jp2", ".dds", ".avif", ".heic"};
  std::string extension = path.extension().string();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}
bool is_expected_extra(const fs::path& path) {
  constexpr std::array kNames = {"README.md",         "LICENCES.md",       "LICENSE",
                                 "config.json",       "dataset_info.json", "dataset_infos.json",
                                 "dataset_dict.json", "Thumbs.db",         "desktop.ini"};
  const std::string name = path.filename().string();
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

/// The folder's files, by what they are.
struct Contents {
  std::vector<std::string> pictures_and_metadata;
  std::vector<Skipped> others;
  size_t num_pictures = 0;
};

Contents sort_out(const FileTree& tree) {
  Contents contents;
  contents.others = tree.skipped();
  for (const auto& path : tree.files()) {
    if (is_image_name(path) || is_other_picture(path)) {
      ++contents.num_pictures;
      contents.pictures_and_metadata.push_back(path);
    } else if (is_metadata_name(path)) {
      contents.pictures_and_metadata.push_back(path);
    } else if (!is_expected_extra(path)) {
      contents.others.push_back({path, "is no picture"});
    }
  }
  return contents;
}

Error no_pictures(const FileTree& tree, const Contents& contents) {
  const std::string found = contents.others.empty() ? "nothing"
                                                    : fmt::format("{} other files, e.g. \"{}\"", contents.others.size(),
                                                                  contents.others[0].path);
  return data_error(
      fmt::format("\"{}\" holds no pictures: looked for {} pictures ({}) in it and in all folders below, found {}",
                  tree.where(), kPictureFormats, fmt::join(kImageEndings, ", "), found),
      "Give the folder that holds your training pictures.");
}

/// A caption's text without the white space around it; what is no UTF-8 is replaced.
std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return "";
  const auto words = text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
  return Json::parse(Json(words).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

/// The metadata's `label` column as classes. Numbers count themselves; words are numbered in sorted order.
std::vector<std::string> assign_labels(std::vector<Entry>& entries, const std::string& where) {
  const auto is_labelled = [](const Entry& e) { return e.columns.contains("label") && !e.columns["label"].is_null(); };
  if (std::none_of(entries.begin(), entries.end(), is_labelled)) return {};
  std::map<std::string, int64_t> classes;
  bool all_numbers = true;
  for (const auto& entry : entries) {
    if (!is_labelled(entry)) throw data_error(fmt::format("{}: \"{}\" has no label, others have", where, entry.path));
    const Json& label = entry.columns["label"];
    if (!label.is_string() && !label.is_number_unsigned())
      throw data_error(fmt::format("{}: label of \"{}\": expected a whole number from 0 or a word, found {}", where,
                                   entry.path, label.dump()));
    const std::string text = label.is_string() ? label.get<std::string>() : label.dump();
    all_numbers =
        all_numbers && !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
    classes.emplace(text, 0);
  }
  std::vector<std::string> names;
  for (auto& [name, number] : classes) {
    number = all_numbers ? std::stoll(name) : static_cast<int64_t>(names.size());
    names.push_back(name);
  }
  for (auto& entry : entries) {
    const Json& label = entry.columns["label"];
    entry.label = classes.at(label.is_string() ? label.get<std::string>() : label.dump());
  }
  return all_numbers ? std::vector<std::string>{} : names;
}

/// The rows of all metadata files of the split.
std::vector<Entry> entries_from_metadata(const FileTree& tree, const std::vector<std::string>& metadata_files) {
  std::vector<Entry> entries;
  for (const auto& file : metadata_files) {
    if (fs::path(file).extension() != fs::path(metadata_files[0]).extension())
      throw data_error(fmt::format("\"{}\": metadata files of different kinds, \"{}\" and \"{}\"", tree.where(),
                                   metadata_files[0], file),
                       "Keep one kind.");
    for (auto& row : read_metadata(tree.read(file).view(), fs::path(tree.where()) / file)) {
      const auto path = (fs::path(file).parent_path() / row.file_name).lexically_normal();
      entries.push_back({path.generic_string(), std::nullopt, std::move(row.columns)});
    }
  }
  return entries;
}

std::vector<Entry> entries_from_folders(const FileTree& tree, const FolderSplits& splits, const std::string& split,
                                        std::vector<std::string>& classes) {
  const auto is_archive = [&](const std::string& name) {
    return std::find(tree.mounts().begin(), tree.mounts().end(), name) != tree.mounts().end();
  };
  if (auto found = folder_classes(splits, split); found && !std::all_of(found->begin(), found->end(), is_archive))
    classes = std::move(*found);
  std::vector<Entry> entries;
  for (const auto& path : *splits.find(split)) {
    Entry entry{path, std::nullopt, Json::object()};
    if (!classes.empty())
      entry.label = std::lower_bound(classes.begin(), classes.end(), parent_folder(path)) - classes.begin();
    entries.push_back(std::move(entry));
  }
  return entries;
}

/// Files of the same name beside a picture: dog.txt or dog.caption holds the caption of dog.jpg, as training scripts
/// have it; in archives, as WebDataset has it, dog.cls its class and dog.json its columns. Takes them out of `others`.
/// Gives whether there were classes.
bool add_side_files(const FileTree& tree, std::vector<Entry>& entries, std::vector<Skipped>& others) {
  const std::set<std::string> known(tree.files().begin(), tree.files().end());
  std::set<std::string> used;
  bool labelled = false;
  for (auto& entry : entries) {
    const size_t name = entry.path.rfind('/') + 1;  // npos + 1 = 0
    const std::string key = entry.path.substr(0, entry.path.find('.', name));
    const auto beside = [&](const char* ending) -> std::optional<std::string> {
      if (!known.contains(key + ending)) return std::nullopt;
      used.insert(key + ending);
      return std::string(tree.read(key + ending).view());
    };
    if (const auto json = tree.is_archive() ? beside(".json") : std::nullopt) {
      const Json columns = parse_json(*json, fmt::format("\"{}/{}.json\"", tree.where(), key));
      if (columns.is_object()) entry.columns.update(columns);
    }
    for (const char* ending : {".txt", ".caption"})
      if (const auto text = beside(ending)) entry.columns["text"] = trimmed(*text);
    if (const auto text = tree.is_archive() ? beside(".cls") : std::nullopt) entry.columns["label"] = trimmed(*text);
    labelled = labelled || entry.columns.contains("label");
  }
  std::erase_if(others, [&](const Skipped& skipped) { return used.contains(skipped.path); });
  return labelled;
}

/// Looks at all headers with a few threads; result i belongs to entry i. Progress comes from the calling thread.
std::vector<std::string> find_problems(const FileTree& tree, const std::vector<Entry>& entries,
                                       const Observer& observer) {
  std::vector<std::string> problems(entries.size());
  std::atomic<size_t> next = 0, done = 0;
  const auto probe_some = [&](bool reports) {
    for (size_t i = next++; i < entries.size(); i = next++) {
      const fs::path path = entries[i].path;
      problems[i] = is_image_name(path) ? tree.probe(entries[i].path).problem : "has a format that cannot be read";
      const size_t count = ++done;
      if (reports && count % 256 == 0)
        observer.progress({.stage = "scan data",
                           .done = static_cast<int64_t>(count),
                           .total = static_cast<int64_t>(entries.size()),
                           .detail = {}});
    }
  };
  {
    const size_t helpers = std::min<size_t>(std::thread::hardware_concurrency(), entries.size() / 256);
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < helpers; ++i) threads.emplace_back(probe_some, false);
    probe_some(true);
  }
  const auto total = static_cast<int64_t>(entries.size());
  observer.progress({.stage = "scan data", .done = total, .total = total, .detail = {}});
  return problems;
}

/// Takes the entries with a problem out.
std::vector<Skipped> drop_broken(const FileTree& tree, std::vector<Entry>& entries, const Observer& observer) {
  const auto problems = find_problems(tree, entries, observer);
  std::vector<Skipped> broken;
  std::vector<Entry> good;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (problems[i].empty())
      good.push_back(std::move(entries[i]));
    else
      broken.push_back({entries[i].path, problems[i]});
  }
  entries = std::move(good);
  return broken;
}

/// Warns of what is left out, or stops there.
void report(const FileTree& tree, const std::vector<Skipped>& skipped, bool strict, const Observer& observer) {
  if (skipped.empty()) return;
  if (strict)
    throw data_error(fmt::format("\"{}\": {}", tree.where(), describe(skipped, "cannot be used")),
                     "Repair or remove them, or run without strict to skip them.");
  observer.warn(fmt::format("\"{}\": {}", tree.where(), describe(skipped, "skipped")));
}

void check_split(const FileTree& tree, const FolderSplits& splits, const std::string& split) {
  if (splits.find(split)) return;
  std::vector<std::string> names;
  for (const auto& [name, files] : splits.splits) names.push_back(name);
  throw NoSuchSplit(
      fmt::format("\"{}\" has no split \"{}\", only: {}", tree.where(), split, fmt::join(names, ", ")),
      splits.rule == SplitRule::folders
          ? "A folder whose name holds train, val, dev, test or eval as a word marks a split. Rename it if it is "
            "a class, or ask for the split by name."
          : "Put its pictures into a folder of that name.");
}

/// Pictures of the split that no row of its metadata names.
std::vector<Skipped> without_row(const std::vector<std::string>& files, const std::vector<Entry>& entries) {
  std::vector<std::string> named;
  for (const auto& entry : entries) named.push_back(entry.path);
  std::sort(named.begin(), named.end());
  std::vector<Skipped> missing;
  for (const auto& file : files)
    if (!std::binary_search(named.begin(), named.end(), file)) missing.push_back({file, "has no row in the metadata"});
  return missing;
}

}  // namespace

std::shared_ptr<const Dataset> open_picture_tree(std::shared_ptr<const FileTree> files, const std::string& split,
                                                 bool strict, const Observer& observer) {
  const FileTree& tree = *files;
  Contents contents = sort_out(tree);
  if (contents.num_pictures == 0) throw no_pictures(tree, contents);
  FolderSplits splits = split_files(contents.pictures_and_metadata, split);
  check_split(tree, splits, split);

  std::vector<std::string> metadata_files;
  for (auto& [name, paths] : splits.splits) {
    const auto pictures_end =
        std::stable_partition(paths.begin(), paths.end(), [](auto& f) { return !is_metadata_name(f); });
    if (name == split) metadata_files.assign(pictures_end, paths.end());
    paths.erase(pictures_end, paths.end());
  }

  std::vector<Entry> entries;
  std::vector<std::string> classes;
  if (metadata_files.empty()) {
    entries = entries_from_folders(tree, splits, split, classes);
    if (add_side_files(tree, entries, contents.others)) classes = assign_labels(entries, tree.where());
  } else {
    entries = entries_from_metadata(tree, metadata_files);
    classes = assign_labels(entries, (fs::path(tree.where()) / metadata_files[0]).string());
    auto missing = without_row(*splits.find(split), entries);
    contents.others.insert(contents.others.end(), missing.begin(), missing.end());
  }
  report(tree, contents.others, strict, observer);
  if (const size_t used = splits.find(split)->size(); metadata_files.empty() && used < contents.num_pictures)
    observer.info(
        fmt::format("\"{}\": split \"{}\" has {} of {} pictures", tree.where(), split, used, contents.num_pictures));

  const auto broken = drop_broken(tree, entries, observer);
  if (entries.empty())
    throw data_error(fmt::format("\"{}\": none of its {} pictures can be read ({}): {}", tree.where(), broken.size(),
                                 kPictureFormats, describe(broken, "tried")),
                     "Give the folder that holds your training pictures.");
  report(tree, broken, strict, observer);
  return std::make_shared<FolderDataset>(std::move(files), std::move(entries), std::move(classes));
}

std::shared_ptr<const Dataset> open_folder(const fs::path& root, const std::string& split, bool strict,
                                           const Observer& observer) {
  return open_picture_tree(folder_tree(root), split, strict, observer);
}

}  // namespace unnoise
