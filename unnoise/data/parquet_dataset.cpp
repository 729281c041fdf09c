#include "unnoise/data/parquet_dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "unnoise/containers/parquet.h"
#include "unnoise/core/error.h"
#include "unnoise/data/block_cache.h"
#include "unnoise/data/imagefolder_rule.h"
#include "unnoise/data/metadata.h"

namespace unnoise {
namespace {

constexpr int64_t kKeptBytes = int64_t{512} << 20;
constexpr int64_t kMostGroupBytes = int64_t{4} << 30;

/// What the file itself says of its columns: {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names":
/// ...}}.
Json features_of(const ParquetFile& file) {
  try {
    const Json note = parse_json(file.note("huggingface"), "features");
    return note.at("info").at("features");
  } catch (const std::exception&) {
    return Json::object();  // written by somebody else
  }
}

/// "Image", "ClassLabel", "Value" ...; "" when nothing is said.
std::string feature_type(const Json& features, const std::string& column) {
  const Json feature = features.is_object() ? features.value(column, Json::object()) : Json::object();
  const Json type = feature.is_object() ? feature.value("_type", Json()) : Json();
  return type.is_string() ? type.get<std::string>() : "";
}

/// The columns of a set, by what they are to us; the same in all its files.
struct Columns {
  size_t image = 0;
  std::optional<size_t> label;
  std::vector<std::string> label_names;
  std::vector<size_t> others;
};

size_t find_image_column(const ParquetFile& file, const Json& features, const std::string& where) {
  std::optional<size_t> best;
  int best_rank = 5;
  std::vector<std::string> found;
  for (size_t c = 0; c < file.columns().size(); ++c) {
    const auto& column = file.columns()[c];
    found.push_back(fmt::format("{} ({})", column.name, column.type));
    if (!column.is_binary) continue;
    const bool named = feature_type(features, column.name) == "Image";
    const int rank = named && column.name == "image" ? 0
                     : named                         ? 1
                     : column.name == "image"        ? 2
                     : column.name == "img"          ? 3
                                                     : 4;
    if (rank < best_rank) best = c, best_rank = rank;
  }
  if (!best)
    throw data_error(
        fmt::format("{}: expected a column of pictures, struct<bytes: binary, path: string> or binary; found {}", where,
                    fmt::join(found, ", ")),
        "Parquet files of pictures are what `unnoise data build` and Dataset.push_to_hub of `datasets` write.");
  return *best;
}

Columns find_columns(const ParquetFile& file, const std::string& where) {
  const Json features = features_of(file);
  Columns columns{find_image_column(file, features, where), std::nullopt, {}, {}};
  bool is_class = false;
  for (size_t c = 0; c < file.columns().size(); ++c) {
    const std::string& name = file.columns()[c].name;
    const bool says_class = feature_type(features, name) == "ClassLabel";
    const bool better = !columns.label || (says_class && !is_class) || (says_class == is_class && name == "label");
    if ((says_class || name == "label") && !file.columns()[c].is_binary && better) {
      columns.label = c;
      is_class = says_class;
    }
  }
  if (is_class)
    for (const auto& name : features[file.columns()[*columns.label].name].value("names", Json::array()))
      columns.label_names.push_back(name.is_string() ? name.get<std::string>() : name.dump());
  for (size_t c = 0; c < file.columns().size(); ++c)
    if (!file.columns()[c].is_binary && c != columns.label) columns.others.push_back(c);
  return columns;
}

struct Shard {
  std::string name;  // of the file, for messages
  std::unique_ptr<ParquetFile> file;
};

struct Group {
  size_t shard = 0;
  size_t number = 0;  // in the shard
  int64_t first = 0;  // of the whole set
};

class ParquetDataset final : public Dataset {
 public:
  ParquetDataset(std::vector<Shard> shards, Columns columns, const Observer& observer)
      : shards_(std::move(shards)), columns_(std::move(columns)) {
    for (size_t s = 0; s < shards_.size(); ++s) add_shard(s);
    if (size_ == 0) throw data_error(fmt::format("\"{}\": no pictures", shards_[0].name));
    number_labels(observer);
  }

  int64_t size() const override { return size_; }
  std::string name(int64_t i) const override {
    const Group& group = group_of(i);
    const auto first = std::find_if(groups_.begin(), groups_.end(), [&](auto& g) { return g.shard == group.shard; });
    return fmt::format("{}[{}]", shards_[group.shard].name, i - first->first);
  }
  std::optional<int64_t> label(int64_t i) const override {
    if (labels_.empty()) return std::nullopt;
    return labels_.at(static_cast<size_t>(i));
  }
  std::vector<std::string> label_names() const override { return columns_.label_names; }
  Json columns(int64_t i) const override {
    Json row = Json::object();
    for (const auto& [name, values] : values_) row[name] = values.at(static_cast<size_t>(i));
    return row;
  }
  DecodedImage read(int64_t i) const override {
    const auto [block, row] = find(i);
    return decode_image(*block->bytes[row], fmt::format("\"{}\"", name(i)));
  }
  std::optional<PictureFile> file(int64_t i) const override {
    const auto [block, row] = find(i);
    return PictureFile{std::string(*block->bytes[row]), fs::path(block->paths[row]).filename().string()};
  }

 private:
  void add_shard(size_t s) {
    const ParquetFile& file = *shards_[s].file;
    int64_t rows = 0;
    for (size_t g = 0; g < file.group_rows().size(); ++g) {
      const int64_t bytes = file.unpacked_bytes(columns_.image, g);
      if (bytes > kMostGroupBytes)
        throw data_error(fmt::format("\"{}\": row group {} unpacks to {} bytes", shards_[s].name, g, bytes),
                         "Write the file again with smaller row groups, 100 pictures each as `datasets` does.");
      groups_.push_back({s, g, size_ + rows});
      rows += file.group_rows()[g];
    }
    for (const size_t c : columns_.others) append(file, c, rows, values_[file.columns()[c].name]);
    if (columns_.label) append(file, *columns_.label, rows, raw_labels_);
    size_ += rows;
  }

  void append(const ParquetFile& file, size_t column, int64_t rows, std::vector<Json>& to) const {
    auto values = file.values(column);
    if (static_cast<int64_t>(values.size()) != rows)
      throw data_error(
          fmt::format("column {}: {} values for {} pictures", file.columns()[column].name, values.size(), rows));
    to.insert(to.end(), std::make_move_iterator(values.begin()), std::make_move_iterator(values.end()));
  }

  void number_labels(const Observer& observer) {
    if (!columns_.label) return;
    std::set<std::string> words;
    int64_t without = 0, largest = 0;
    for (const Json& label : raw_labels_) {
      if (label.is_number_integer() && label.get<int64_t>() >= 0)
        largest = std::max(largest, label.get<int64_t>());
      else if (label.is_string())
        words.insert(label.get<std::string>());
      else
        ++without;
    }
    const bool misnumbered =
        words.empty() && !columns_.label_names.empty() && largest >= static_cast<int64_t>(columns_.label_names.size());
    if (misnumbered)
      throw data_error(fmt::format("\"{}\": label {} where there are {} classes", shards_[0].name, largest,
                                   columns_.label_names.size()));
    if (without > 0) {
      columns_.label_names.clear();
      observer.warn(fmt::format("\"{}\": {} of {} pictures have no label, so the set counts as one without classes",
                                shards_[0].name, without, size_));
    } else if (words.empty()) {
      for (const Json& label : raw_labels_) labels_.push_back(label.get<int64_t>());
    } else {
      columns_.label_names.assign(words.begin(), words.end());
      for (const Json& label : raw_labels_) {
        const std::string word = label.is_string() ? label.get<std::string>() : label.dump();
        labels_.push_back(std::distance(words.begin(), words.find(word)));
      }
    }
    raw_labels_ = {};
  }

  const Group& group_of(int64_t i) const {
    if (i < 0 || i >= size_) throw usage_error(fmt::format("\"{}\" has no picture {}", shards_[0].name, i));
    return *std::prev(
        std::upper_bound(groups_.begin(), groups_.end(), i, [](int64_t n, auto& g) { return n < g.first; }));
  }

  std::pair<std::shared_ptr<const PictureBlock>, size_t> find(int64_t i) const {
    const Group& group = group_of(i);
    const ParquetFile& file = *shards_[group.shard].file;
    auto block = cache_.get({group.shard, group.number}, file.unpacked_bytes(columns_.image, group.number),
                            [&] { return file.pictures(columns_.image, group.number); });
    const auto row = static_cast<size_t>(i - group.first);
    if (!block->bytes[row])
      throw data_error(fmt::format("\"{}\" holds no picture{}", name(i),
                                   block->paths[row].empty() ? "" : ", only the path " + block->paths[row]),
                       "Files of paths alone are of use where they were written.");
    return {std::move(block), row};
  }

  std::vector<Shard> shards_;
  Columns columns_;
  std::vector<Group> groups_;
  int64_t size_ = 0;
  std::vector<Json> raw_labels_;
  std::vector<int64_t> labels_;
  std::map<std::string, std::vector<Json>> values_;
  mutable BlockCache cache_{kKeptBytes};
};

}  // namespace

std::vector<std::string> parquet_files(const fs::path& folder) {
  auto files = list_visible_files(folder);
  std::erase_if(files, [](const std::string& file) { return !file.ends_with(".parquet") || is_metadata_name(file); });
  return files;
}

std::shared_ptr<const Dataset> open_parquet_folder(const fs::path& folder, const std::string& split,
                                                   const std::string& config, const Observer& observer) {
  auto files = parquet_files(folder);
  std::set<std::string> folders;
  for (const auto& file : files) folders.insert(fs::path(file).parent_path().string());
  if (!config.empty() && !folders.contains(config))
    throw usage_error(
        fmt::format("\"{}\" has no configuration \"{}\", only: {}", folder.string(), config, fmt::join(folders, ", ")));
  if (!config.empty())
    std::erase_if(files, [&](const std::string& file) { return fs::path(file).parent_path() != config; });
  FolderSplits splits = split_files(files, split);
  for (const char* other :
       {"train", "validation", "test"})  // shards are called after splits, also when `split` is none
    if (splits.rule == SplitRule::whole) splits = split_files(files, other);
  const auto* own = splits.find(split);
  if (!own) {
    std::vector<std::string> names;
    for (const auto& [name, members] : splits.splits) names.push_back(name);
    throw NoSuchSplit(
        fmt::format("\"{}\" has no split \"{}\", only: {}", folder.string(), split, fmt::join(names, ", ")),
        "A shard is called after its split: data/test-00000-of-00001.parquet.");
  }
  std::set<std::string> configs;
  for (const auto& file : *own) configs.insert(fs::path(file).parent_path().string());
  if (configs.size() > 1 && splits.rule != SplitRule::folders)
    throw usage_error(fmt::format("\"{}\" has several configurations: {}", folder.string(), fmt::join(configs, ", ")),
                      "Say which with --dataset-config-name, or give its folder.");
  std::vector<fs::path> paths;
  for (const auto& file : *own) paths.push_back(folder / file);
  return open_parquet_files(paths, observer);
}

std::shared_ptr<const Dataset> open_parquet_files(const std::vector<fs::path>& files, const Observer& observer) {
  std::vector<Shard> shards;
  for (const auto& path : files) shards.push_back({path.filename().string(), open_parquet(path)});
  if (shards.empty()) throw data_error("no Parquet files");
  Columns columns = find_columns(*shards[0].file, fmt::format("\"{}\"", files[0].string()));
  const auto same = [](const ParquetColumn& a, const ParquetColumn& b) { return a.name == b.name && a.type == b.type; };
  for (size_t s = 1; s < shards.size(); ++s)
    if (!std::ranges::equal(shards[0].file->columns(), shards[s].file->columns(), same))
      throw data_error(fmt::format("\"{}\" has other columns than \"{}\"", shards[s].name, shards[0].name),
                       "Shards of one set have the same columns; give the folder of one set.");
  return std::make_shared<ParquetDataset>(std::move(shards), std::move(columns), observer);
}

}  // namespace unnoise
