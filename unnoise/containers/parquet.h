// Parquet files that hold a picture a row, as the Hugging Face hub has them: a column struct<bytes: binary, path:
// string> (or plain binary) with columns of numbers and texts beside it. Read and written by Arrow.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/json.h"

namespace unnoise {

struct ParquetColumn {
  std::string name;
  std::string type;        ///< Arrow's word for it: "struct<bytes: binary, path: string>", "int64"
  bool is_binary = false;  ///< holds bytes: pictures
};

/// The pictures of one row group, unpacked. Views stay valid as long as `keep` is held.
struct PictureBlock {
  std::vector<std::optional<std::string_view>> bytes;  ///< nothing where the file has null
  std::vector<std::string> paths;                      ///< "" where the file has null
  std::shared_ptr<const void> keep;
};

/// An open file. Const calls may come from any thread. All calls throw Error::data, naming the file, when it is
/// damaged.
class ParquetFile {
 public:
  virtual ~ParquetFile() = default;
  /// Rows of each row group; their sum is the number of rows.
  virtual const std::vector<int64_t>& group_rows() const = 0;
  virtual const std::vector<ParquetColumn>& columns() const = 0;
  /// A value of the file's key-value metadata, "" when it has none: "huggingface" holds the features of the columns.
  virtual std::string note(const std::string& key) const = 0;
  /// Bytes of a column in a row group when unpacked, as the file claims.
  virtual int64_t unpacked_bytes(size_t column, size_t group) const = 0;
  /// A column without bytes, all rows, as JSON values; null where the file has null or a type that JSON has not.
  virtual std::vector<Json> values(size_t column) const = 0;
  /// A column with bytes, one row group.
  virtual PictureBlock pictures(size_t column, size_t group) const = 0;
};

/// Error::data, naming the file, when it is no Parquet, damaged, cut short, or claims more rows than it can hold.
std::unique_ptr<ParquetFile> open_parquet(const fs::path& file);

enum class ParquetType { text, integer, number, boolean };

/// What a new file holds: `image`, then `label` if there are classes, then the columns.
struct PictureTable {
  bool has_labels = false;
  std::vector<std::pair<std::string, ParquetType>> columns;
  std::string note;  ///< under the key "huggingface"
};

struct PictureRow {
  std::string_view bytes;  ///< of the picture's file
  std::string path;        ///< its name
  int64_t label = 0;
  std::vector<Json> values;  ///< one a column; null is allowed
};

class ParquetWriter {
 public:
  virtual ~ParquetWriter() = default;
  virtual void append(const PictureRow& row) = 0;
  /// Writes what is left and the footer. Without it the file is no Parquet.
  virtual void close() = 0;
};

/// A new file with snappy-packed row groups of 100 pictures, as `datasets` writes them. Throws Error::environment when
/// it cannot be written.
std::unique_ptr<ParquetWriter> create_parquet(const fs::path& file, const PictureTable& table);

/// Between the program and its module.
struct ParquetModule {
  std::unique_ptr<ParquetFile> (*open)(const fs::path&);
  std::unique_ptr<ParquetWriter> (*create)(const fs::path&, const PictureTable&);
};

}  // namespace unnoise
