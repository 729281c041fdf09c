// metadata.csv, metadata.jsonl and metadata.parquet: a row a picture, found by its column `file_name`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/files.h"
#include "unnoise/core/json.h"

namespace unnoise {

struct MetadataRow {
  std::string file_name;  ///< as written: relative to the folder of the metadata file
  Json columns;           ///< every other column; CSV values are text, JSON values keep their type
};

/// metadata.csv, metadata.jsonl or metadata.parquet by name.
bool is_metadata_name(const fs::path& path);

/// Rows in file order. Error::data, naming file and line, for broken quoting, rows longer than the header, lines that
/// are no JSON objects, or a missing `file_name`.
std::vector<MetadataRow> read_metadata(const fs::path& path);
/// The same of text in memory; `path` gives the kind and the name for errors. Parquet is read from `path` itself.
std::vector<MetadataRow> read_metadata(std::string_view text, const fs::path& path);

/// Comma-separated values as RFC 4180 has them: quoted fields may hold commas, line ends and doubled quotes; lines end
/// in \n or \r\n; empty lines are left out; a byte-order mark is dropped. `where` names the source in errors.
struct CsvRow {
  int64_t line = 0;  ///< counted from 1
  std::vector<std::string> fields;
};
std::vector<CsvRow> parse_csv(std::string_view text, std::string_view where);

}  // namespace unnoise
