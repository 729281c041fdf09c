#include "unnoise/data/metadata.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "unnoise/containers/parquet.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_utf8(std::string_view text) {
  try {
    return !Json(text).dump().empty();
  } catch (const Json::type_error&) {
    return false;
  }
}

std::vector<MetadataRow> read_csv(std::string_view text, const fs::path& path) {
  const std::string where = path.string();
  if (!is_utf8(text)) throw data_error(fmt::format("\"{}\" is not UTF-8 text", where), "Save it again as UTF-8.");
  const auto table = parse_csv(text, where);
  if (table.empty()) throw data_error(fmt::format("\"{}\" is empty: expected a header line with file_name", where));
  const auto& header = table.front().fields;
  const auto key = std::find(header.begin(), header.end(), "file_name");
  if (key == header.end())
    throw data_error(
        fmt::format("\"{}\": expected a column file_name, found the columns {}", where, fmt::join(header, ", ")));
  const size_t key_column = static_cast<size_t>(key - header.begin());

  std::vector<MetadataRow> rows;
  for (size_t r = 1; r < table.size(); ++r) {
    const auto& [line, fields] = table[r];
    if (fields.size() > header.size())
      throw data_error(
          fmt::format("\"{}\", line {}: expected {} fields, found {}", where, line, header.size(), fields.size()),
          "A value that holds a comma must stand in double quotes.");
    if (fields.size() <= key_column || fields[key_column].empty())
      throw data_error(fmt::format("\"{}\", line {}: no file_name", where, line));
    MetadataRow row{fields[key_column], Json::object()};
    for (size_t c = 0; c < header.size(); ++c)
      if (c != key_column) row.columns[header[c]] = c < fields.size() ? Json(fields[c]) : Json(nullptr);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<MetadataRow> read_jsonl(std::string_view text, const fs::path& path) {
  std::string_view rest = text;
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  std::vector<MetadataRow> rows;
  for (int64_t line_number = 1; !rest.empty(); ++line_number) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("\"{}\", line {}", path.string(), line_number);
    Json columns = parse_json(line, where);
    const auto key = columns.is_object() ? columns.find("file_name") : columns.end();
    if (!columns.is_object() || key == columns.end() || !key->is_string() || key->get_ref<const std::string&>().empty())
      throw data_error(fmt::format("{}: expected an object with a text \"file_name\", found {}", where,
                                   columns.dump().substr(0, 80)));
    MetadataRow row{key->get<std::string>(), {}};
    columns.erase("file_name");
    row.columns = std::move(columns);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<MetadataRow> read_parquet_rows(const fs::path& path) {
  const auto file = open_parquet(path);
  std::vector<MetadataRow> rows;
  std::vector<std::string> names;
  bool named = false;
  for (size_t c = 0; c < file->columns().size(); ++c) {
    const auto& column = file->columns()[c];
    names.push_back(column.name);
    if (column.is_binary) continue;
    const auto values = file->values(c);
    rows.resize(values.size(), {"", Json::object()});
    named = named || column.name == "file_name";
    for (size_t r = 0; r < values.size(); ++r) {
      if (column.name != "file_name")
        rows[r].columns[column.name] = values[r];
      else if (values[r].is_string())
        rows[r].file_name = values[r].get<std::string>();
      if (column.name == "file_name" && rows[r].file_name.empty())
        throw data_error(fmt::format("\"{}\", row {}: no file_name", path.string(), r));
    }
  }
  if (!named)
    throw data_error(fmt::format("\"{}\": expected a column file_name, found the columns {}", path.string(),
                                 fmt::join(names, ", ")));
  return rows;
}

/// Reads one table, character by character; `line_` counts for the errors.
class CsvReader {
 public:
  CsvReader(std::string_view text, std::string_view where) : text_(text), where_(where) {
    if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
  }

  std::vector<CsvRow> rows() {
    std::vector<CsvRow> rows;
    while (at_ < text_.size()) {
      CsvRow row{line_, {}};
      bool more = true;
      while (more) {
        row.fields.push_back(field());
        more = at_ < text_.size() && text_[at_] == ',';
        if (more) ++at_;
      }
      end_of_line();
      if (row.fields.size() > 1 || !row.fields[0].empty()) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  std::string field() {
    if (at_ < text_.size() && text_[at_] == '"') return quoted();
    const size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
    return std::string(text_.substr(std::exchange(at_, end), end - at_));
  }

  std::string quoted() {
    const int64_t opened = line_;
    std::string value;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        if (at_ + 1 >= text_.size() || text_[at_ + 1] != '"') break;
        ++at_;
      }
      if (text_[at_] == '\n') ++line_;
      value += text_[at_];
    }
    if (at_ >= text_.size())
      throw data_error(fmt::format("\"{}\", line {}: a quoted value is not closed", where_, opened));
    ++at_;
    if (at_ < text_.size() && text_.find_first_of(",\r\n", at_) != at_)
      throw data_error(fmt::format("\"{}\", line {}: text after a closing quote", where_, line_),
                       "Inside a quoted value a double quote is written twice.");
    return value;
  }

  void end_of_line() {
    if (at_ < text_.size() && text_[at_] == '\r') ++at_;
    if (at_ < text_.size() && text_[at_] == '\n') ++at_;
    ++line_;
  }

  std::string_view text_;
  std::string_view where_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

bool is_metadata_name(const fs::path& path) {
  const auto name = path.filename();
  return name == "metadata.csv" || name == "metadata.jsonl" || name == "metadata.parquet";
}

std::vector<MetadataRow> read_metadata(const fs::path& path) { return read_metadata(read_file(path), path); }

std::vector<MetadataRow> read_metadata(std::string_view text, const fs::path& path) {
  if (path.extension() == ".csv") return read_csv(text, path);
  if (path.extension() == ".jsonl") return read_jsonl(text, path);
  if (std::error_code ec; fs::is_regular_file(path, ec)) return read_parquet_rows(path);
  throw data_error(fmt::format("\"{}\": metadata in Parquet is read from folders, not from archives", path.string()),
                   "Write it as metadata.csv or metadata.jsonl, or unpack the archive.");
}

std::vector<CsvRow> parse_csv(std::string_view text, std::string_view where) { return CsvReader(text, where).rows(); }

}  // namespace unnoise
