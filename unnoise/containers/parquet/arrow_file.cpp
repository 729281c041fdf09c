#include "unnoise/containers/parquet/arrow_file.h"

#include <arrow/chunked_array.h>
#include <arrow/io/file.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/schema.h>

#include <mutex>
#include <utility>

#include "unnoise/containers/parquet/arrow_check.h"
#include "unnoise/containers/parquet/arrow_values.h"

namespace unnoise {
namespace {

using arrow_check::check;
using arrow_check::guarded;

/// The member of a picture's struct that holds the file's bytes, and its index among the members; the column itself
/// when it is no struct.
bool holds_pictures(const arrow::DataType& type) {
  if (type.id() == arrow::Type::BINARY || type.id() == arrow::Type::LARGE_BINARY) return true;
  if (type.id() != arrow::Type::STRUCT) return false;
  const auto bytes = static_cast<const arrow::StructType&>(type).GetFieldByName("bytes");
  return bytes && arrow_values::has_bytes(*bytes->type());
}

class ArrowFile final : public ParquetFile {
 public:
  explicit ArrowFile(const fs::path& file) : where_(fmt::format("\"{}\"", file.string())) {
    guarded(where_, [&] {
      auto input = check(arrow::io::MemoryMappedFile::Open(file.string(), arrow::io::FileMode::READ), where_);
      const int64_t bytes = check(input->GetSize(), where_);
      reader_ = check(parquet::arrow::FileReader::Make(arrow::default_memory_pool(),
                                                       parquet::ParquetFileReader::Open(std::move(input))),
                      where_);
      reader_->set_use_threads(false);  // the loader's own threads are enough
      read_shape(bytes);
    });
  }

  const std::vector<int64_t>& group_rows() const override { return group_rows_; }
  const std::vector<ParquetColumn>& columns() const override { return columns_; }

  std::string note(const std::string& key) const override {
    const auto notes = metadata().key_value_metadata();
    if (!notes) return {};
    return notes->Get(key).ValueOr(std::string());
  }

  int64_t unpacked_bytes(size_t column, size_t group) const override {
    return guarded(where_, [&] {
      const auto chunks = metadata().RowGroup(static_cast<int>(group));
      int64_t total = 0;
      for (const int leaf : leaves_[column]) total += chunks->ColumnChunk(leaf)->total_uncompressed_size();
      return total;
    });
  }

  std::vector<Json> values(size_t column) const override {
    return guarded(where_, [&] {
      std::vector<Json> all;
      for (size_t group = 0; group < group_rows_.size(); ++group) {
        const auto read = read_column(column, group);
        for (const auto& chunk : read->chunks())
          for (int64_t i = 0; i < chunk->length(); ++i) all.push_back(arrow_values::json_at(*chunk, i));
      }
      return all;
    });
  }

  PictureBlock pictures(size_t column, size_t group) const override {
    return guarded(where_, [&] {
      const auto read = read_column(column, group);
      PictureBlock block;
      for (const auto& chunk : read->chunks()) add_pictures(*chunk, block);
      block.keep = read;
      return block;
    });
  }

 private:
  const parquet::FileMetaData& metadata() const { return *reader_->parquet_reader()->metadata(); }

  void read_shape(int64_t file_bytes) {
    std::shared_ptr<arrow::Schema> schema;
    check(reader_->GetSchema(&schema), where_);
    const auto& tree = *metadata().schema();
    if (schema->num_fields() != tree.group_node()->field_count())
      throw arrow_check::damaged(where_, "its two schemas differ");
    for (const auto& field : schema->fields())
      columns_.push_back({field->name(), field->type()->ToString(), holds_pictures(*field->type())});
    leaves_.resize(columns_.size());
    for (int leaf = 0; leaf < tree.num_columns(); ++leaf)
      leaves_[static_cast<size_t>(tree.group_node()->FieldIndex(*tree.GetColumnRoot(leaf)))].push_back(leaf);

    int64_t rows = 0;
    for (int group = 0; group < metadata().num_row_groups(); ++group) {
      group_rows_.push_back(metadata().RowGroup(group)->num_rows());
      // A row takes a byte at the least, but for pictures that are all the same.
      if (group_rows_.back() < 0 || group_rows_.back() > file_bytes + 1000 - rows)
        throw arrow_check::damaged(where_, "it claims more rows than a file of its size holds");
      rows += group_rows_.back();
    }
    if (rows != metadata().num_rows()) throw arrow_check::damaged(where_, "its row groups do not add up");
  }

  std::shared_ptr<arrow::ChunkedArray> read_column(size_t column, size_t group) const {
    std::lock_guard lock(mutex_);
    const auto table = check(reader_->ReadRowGroup(static_cast<int>(group), leaves_[column]), where_);
    if (table->num_rows() != group_rows_[group] || table->num_columns() != 1)
      throw arrow_check::damaged(
          where_, fmt::format("row group {} has {} rows instead of {}", group, table->num_rows(), group_rows_[group]));
    check(table->Validate(), where_);
    return table->column(0);
  }

  void add_pictures(const arrow::Array& chunk, PictureBlock& block) const {
    std::shared_ptr<arrow::Array> bytes, paths;
    const arrow::Array* source = &chunk;
    if (chunk.type_id() == arrow::Type::STRUCT) {
      bytes = static_cast<const arrow::StructArray&>(chunk).GetFieldByName("bytes");
      paths = static_cast<const arrow::StructArray&>(chunk).GetFieldByName("path");
      source = bytes.get();
    }
    for (int64_t i = 0; i < chunk.length(); ++i) {
      const bool missing = chunk.IsNull(i) || source->IsNull(i);
      block.bytes.push_back(missing ? std::nullopt : std::optional(arrow_values::bytes_at(*source, i)));
      const bool named = paths && !paths->IsNull(i) && arrow_values::has_bytes(*paths->type());
      block.paths.emplace_back(named ? arrow_values::bytes_at(*paths, i) : std::string_view());
    }
  }

  std::string where_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::vector<ParquetColumn> columns_;
  std::vector<std::vector<int>> leaves_;  // of each column
  std::vector<int64_t> group_rows_;
  mutable std::mutex mutex_;  // the reader is for one thread at a time
};

}  // namespace

std::unique_ptr<ParquetFile> open_arrow_file(const fs::path& file) { return std::make_unique<ArrowFile>(file); }

}  // namespace unnoise
