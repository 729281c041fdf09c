#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "unnoise/containers/parquet.h"
#include "unnoise/core/error.h"
#include "unnoise/recipes/data_jobs.h"
#include "unnoise/recipes/data_licence.h"
#include "unnoise/recipes/dataset_card.h"
#include "unnoise/recipes/dataset_splits.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/pull.h"

namespace unnoise {
namespace {

/// The narrowest type that holds all values of a column; texts hold everything.
class ColumnType {
 public:
  void see(const Json& value) {
    if (value.is_null()) return;
    seen_ = true;
    integer_ = integer_ && value.is_number_integer() && !is_beyond_int64(value);
    number_ = number_ && value.is_number();
    boolean_ = boolean_ && value.is_boolean();
  }
  ParquetType type() const {
    if (!seen_) return ParquetType::text;
    return boolean_   ? ParquetType::boolean
           : integer_ ? ParquetType::integer
           : number_  ? ParquetType::number
                      : ParquetType::text;
  }

 private:
  static bool is_beyond_int64(const Json& value) {
    return value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  }
  bool seen_ = false, integer_ = true, number_ = true, boolean_ = true;
};

std::string hub_type(ParquetType type) {
  switch (type) {
    case ParquetType::integer:
      return "int64";
    case ParquetType::number:
      return "float64";
    case ParquetType::boolean:
      return "bool";
    default:
      return "string";
  }
}

/// The columns of all splits but file_name, image and label, which have places of their own.
std::map<std::string, ColumnType> find_columns_of(const std::vector<SplitDataset>& source) {
  std::map<std::string, ColumnType> columns;
  for (const auto& split : source)
    for (int64_t i = 0; i < split.data->size(); ++i) {
      const Json row = split.data->columns(i);
      for (const auto& [name, value] : row.items())
        if (name != "file_name" && name != "image" && name != "label") columns[name].see(value);
    }
  return columns;
}

void check_classes(const std::vector<SplitDataset>& source) {
  for (const auto& split : source)
    if (split.data->label(0).has_value() != source[0].data->label(0).has_value() ||
        split.data->label_names() != source[0].data->label_names())
      throw data_error(fmt::format("the splits \"{}\" and \"{}\" have other classes", source[0].split, split.split),
                       "Every split needs pictures of every class.");
}

class Builder {
 public:
  Builder(const DataBuildOptions& options, std::vector<SplitDataset> source, const Observer& observer,
          const std::stop_token& stop)
      : options_(options), source_(std::move(source)), observer_(observer), stop_(stop) {
    check_classes(source_);
    const Dataset& first = *source_[0].data;
    card_.title = options.name.value_or(fs::absolute(options.output).lexically_normal().filename().string());
    const DataLicence licence = data_licence(options.data);
    card_.license = options.license.value_or(licence.licence);
    card_.source =
        options.source.value_or(licence.credit.empty() ? "" : fmt::format("Pictures by {}.", licence.credit));
    card_.has_labels = table_.has_labels = first.label(0).has_value();
    card_.label_names = first.label_names();
    for (const auto& [name, column] : find_columns_of(source_)) {
      table_.columns.emplace_back(name, column.type());
      card_.columns.emplace_back(name, hub_type(column.type()));
    }
    table_.note = dataset_features(card_).dump(-1, ' ', false, Json::error_handler_t::replace);
    card_.command = fmt::format("unnoise data build {} --output {}", hub_label(options.data), options.output);
  }

  /// Throws when it is to stop, so that nothing is left behind.
  void write(const fs::path& folder, const std::vector<SplitPart>& parts) {
    make_folders(folder / "data");
    for (const auto& part : parts) write_split(folder / "data", part);
    write_part(folder / "README.md", dataset_card_text(card_));
    pass_on_licence(options_.data, folder);
  }

  std::string summary() const {
    std::string text;
    for (const auto& split : card_.splits)
      text += fmt::format("{:<12}{:>10} pictures  {}\n", split.name, human_count(split.pictures),
                          human_bytes(static_cast<double>(split.stored_bytes)));
    return text + options_.output + "\n";
  }
  const std::vector<std::string>& skipped() const { return skipped_; }

 private:
  /// The shards of a split: equally many pictures each, as many files as the size asks for.
  void write_split(const fs::path& folder, const SplitPart& part) {
    int64_t bytes = 0;
    std::vector<PictureRef> pictures;
    for (const auto& ref : part.pictures) {
      check_stop();
      const int64_t size = size_of(ref);
      if (size < 0) continue;
      bytes += size;
      pictures.push_back(ref);
      report("measure " + part.split, static_cast<int64_t>(pictures.size()), part.pictures.size());
    }
    if (pictures.empty()) throw data_error(fmt::format("split \"{}\": none of its pictures can be read", part.split));
    const auto shards = std::clamp<int64_t>(
        static_cast<int64_t>(std::ceil(static_cast<double>(bytes) / (options_.max_shard_size * 1e6))), 1,
        std::min<int64_t>(99'999, static_cast<int64_t>(pictures.size())));
    CardSplit split{part.split, static_cast<int64_t>(pictures.size()), 0, 0};
    const auto n = static_cast<int64_t>(pictures.size());
    for (int64_t s = 0; s < shards; ++s) {
      const fs::path file = folder / fmt::format("{}-{:05}-of-{:05}.parquet", part.split, s, shards);
      const auto writer = create_parquet(file, table_);
      for (int64_t k = n * s / shards; k < n * (s + 1) / shards; ++k) {
        check_stop();
        split.bytes += append(*writer, pictures[static_cast<size_t>(k)]);
        report("write " + part.split, k + 1, pictures.size());
      }
      writer->close();
      split.stored_bytes += static_cast<int64_t>(fs::file_size(file));
    }
    card_.splits.push_back(std::move(split));
  }

  /// Bytes of a picture's file; -1, with a note, when it is damaged.
  int64_t size_of(const PictureRef& ref) {
    const Dataset& data = *source_[ref.split].data;
    try {
      const auto file = data.file(ref.index);
      const DecodedImage image = file ? decode_image(file->bytes, data.name(ref.index)) : data.read(ref.index);
      return static_cast<int64_t>(file ? file->bytes.size() : image.pixels.size());
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::data) throw;
      skipped_.push_back(data.name(ref.index));
      observer_.warn(fmt::format("left out: {}", e.message()));
      return -1;
    }
  }

  int64_t append(ParquetWriter& writer, const PictureRef& ref) const {
    const Dataset& data = *source_[ref.split].data;
    const PictureFile file = picture_file(data, ref.index);
    const Json columns = data.columns(ref.index);
    PictureRow row{file.bytes, file.name, data.label(ref.index).value_or(0), {}};
    for (const auto& [name, type] : table_.columns) row.values.push_back(columns.value(name, Json(nullptr)));
    writer.append(row);
    return static_cast<int64_t>(file.bytes.size() + file.name.size()) + 8;
  }

  void report(const std::string& stage, int64_t done, size_t total) const {
    if (done % 64 == 0 || done == static_cast<int64_t>(total))
      observer_.progress({.stage = stage, .done = done, .total = static_cast<int64_t>(total), .detail = {}});
  }
  void check_stop() const {
    if (stop_.stop_requested()) throw environment_error("interrupted");
  }

  const DataBuildOptions& options_;
  std::vector<SplitDataset> source_;
  const Observer& observer_;
  const std::stop_token& stop_;
  PictureTable table_;
  DatasetCard card_;
  std::vector<std::string> skipped_;
};

}  // namespace

DataReport build_data(const DataBuildOptions& options, const Observer& observer, std::stop_token stop) {
  check_new_folder(options.output, options.overwrite);
  if (!(options.max_shard_size > 0))
    throw usage_error(fmt::format("--max-shard-size: expected above 0, found {}", options.max_shard_size));
  auto source = open_source(options, observer);
  const auto parts = plan_splits(source, options, false);
  Builder builder(options, std::move(source), observer, stop);
  try {
    write_folder_atomic(options.output, [&](const fs::path& folder) { builder.write(folder, parts); });
  } catch (const Error&) {
    if (!stop.stop_requested()) throw;
    return {JobStatus::interrupted, ""};
  }
  return {JobStatus::done, builder.summary()};
}

}  // namespace unnoise
