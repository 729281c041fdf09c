// JSON as the Python side writes and reads it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "unnoise/core/files.h"

namespace unnoise {

using Json = nlohmann::json;  // a sorted map: keys come out in order, as diffusers writes them

/// Parses `text`; the literals NaN, Infinity and -Infinity that Python writes are accepted. `where` names the source in
/// the error (Error::data). Depth is limited, so that hostile input cannot exhaust the stack.
Json parse_json(std::string_view text, std::string_view where);

/// parse_json of a file.
Json read_json(const fs::path& path);

/// Two spaces, sorted keys, non-ASCII escaped, a newline at the end; infinities as Python's literals.
std::string dump_json(const Json& json);

/// One line, for logs.
std::string dump_json_line(const Json& json);

/// dump_json into a file, atomically.
void write_json(const fs::path& path, const Json& json);

}  // namespace unnoise
