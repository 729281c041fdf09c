#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_nested.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include <utility>

#include "unnoise/containers/parquet/arrow_check.h"
#include "unnoise/containers/parquet/arrow_file.h"

namespace unnoise {
namespace {

constexpr int64_t kRowsPerGroup = 100;                 // what `datasets` takes for pictures
constexpr int64_t kBytesPerGroup = int64_t{64} << 20;  // fewer rows when they are large

std::shared_ptr<arrow::DataType> arrow_type(ParquetType type) {
  switch (type) {
    case ParquetType::integer:
      return arrow::int64();
    case ParquetType::number:
      return arrow::float64();
    case ParquetType::boolean:
      return arrow::boolean();
    default:
      return arrow::utf8();
  }
}

class ArrowWriter final : public ParquetWriter {
 public:
  ArrowWriter(const fs::path& file, const PictureTable& table) : where_(fmt::format("\"{}\"", file.string())) {
    const auto image = arrow::struct_({arrow::field("bytes", arrow::binary()), arrow::field("path", arrow::utf8())});
    arrow::FieldVector fields{arrow::field("image", image)};
    bytes_ = std::make_shared<arrow::BinaryBuilder>();
    paths_ = std::make_shared<arrow::StringBuilder>();
    images_ = std::make_shared<arrow::StructBuilder>(image, arrow::default_memory_pool(),
                                                     std::vector<std::shared_ptr<arrow::ArrayBuilder>>{bytes_, paths_});
    if (table.has_labels) {
      fields.push_back(arrow::field("label", arrow::int64()));
      labels_ = std::make_shared<arrow::Int64Builder>();
    }
    for (const auto& [name, type] : table.columns) {
      fields.push_back(arrow::field(name, arrow_type(type)));
      types_.push_back(type);
      columns_.push_back(written(arrow::MakeBuilder(arrow_type(type))));
    }
    schema_ = arrow::schema(fields, arrow::key_value_metadata({{"huggingface", table.note}}));

    sink_ = written(arrow::io::FileOutputStream::Open(file.string()));
    parquet::WriterProperties::Builder properties;
    properties.compression(parquet::Compression::SNAPPY)
        ->disable_dictionary("image.bytes")
        ->disable_statistics("image.bytes")
        ->enable_write_page_index();
    parquet::ArrowWriterProperties::Builder arrow_properties;
    arrow_properties.store_schema();  // so that the note comes back with the schema
    writer_ = written(parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), sink_,
                                                       properties.build(), arrow_properties.build()));
  }

  void append(const PictureRow& row) override {
    check(images_->Append());
    check(bytes_->Append(row.bytes));
    check(paths_->Append(row.path));
    if (labels_) check(labels_->Append(row.label));
    for (size_t c = 0; c < columns_.size(); ++c) append_value(c, row.values.at(c));
    ++rows_;
    pending_bytes_ += static_cast<int64_t>(row.bytes.size());
    if (rows_ == kRowsPerGroup || pending_bytes_ >= kBytesPerGroup) flush();
  }

  void close() override {
    flush();
    check(writer_->Close());
    check(sink_->Close());
  }

 private:
  Error failed(const arrow::Status& status) const {
    return environment_error(fmt::format("cannot write {}: {}", where_, status.ToString()));
  }
  void check(const arrow::Status& status) const {
    if (!status.ok()) throw failed(status);
  }
  template <class T>
  T written(arrow::Result<T> result) const {
    check(result.status());
    return std::move(result).ValueUnsafe();
  }

  void append_value(size_t c, const Json& value) {
    arrow::ArrayBuilder& builder = *columns_[c];
    if (value.is_null()) return check(builder.AppendNull());
    switch (types_[c]) {
      case ParquetType::integer:
        return check(static_cast<arrow::Int64Builder&>(builder).Append(value.get<int64_t>()));
      case ParquetType::number:
        return check(static_cast<arrow::DoubleBuilder&>(builder).Append(value.get<double>()));
      case ParquetType::boolean:
        return check(static_cast<arrow::BooleanBuilder&>(builder).Append(value.get<bool>()));
      case ParquetType::text:
        return check(static_cast<arrow::StringBuilder&>(builder).Append(value.is_string() ? value.get<std::string>()
                                                                                          : value.dump()));
    }
  }

  void flush() {
    if (rows_ == 0) return;
    arrow::ArrayVector arrays{written(images_->Finish())};
    if (labels_) arrays.push_back(written(labels_->Finish()));
    for (const auto& column : columns_) arrays.push_back(written(column->Finish()));
    check(writer_->WriteTable(*arrow::Table::Make(schema_, arrays, rows_), rows_));
    rows_ = pending_bytes_ = 0;
  }

  std::string where_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::io::FileOutputStream> sink_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  std::shared_ptr<arrow::BinaryBuilder> bytes_;
  std::shared_ptr<arrow::StringBuilder> paths_;
  std::shared_ptr<arrow::StructBuilder> images_;
  std::shared_ptr<arrow::Int64Builder> labels_;
  std::vector<ParquetType> types_;
  std::vector<std::shared_ptr<arrow::ArrayBuilder>> columns_;
  int64_t rows_ = 0;
  int64_t pending_bytes_ = 0;
};

}  // namespace

std::unique_ptr<ParquetWriter> create_arrow_file(const fs::path& file, const PictureTable& table) {
  return std::make_unique<ArrowWriter>(file, table);
}

}  // namespace unnoise
