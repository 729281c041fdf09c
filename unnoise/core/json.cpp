#include "unnoise/core/json.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr int kMaxDepth = 200;
// Numbers that no configuration holds stand for the literals while nlohmann, which refuses them, parses.
constexpr std::string_view kInfinity = "1.797693134862315e308", kMinusInfinity = "-1.797693134862315e308";
constexpr double kInfinityStandIn = 1.797693134862315e308;

/// Replaces bare NaN / Infinity / -Infinity outside strings.
std::string without_python_literals(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < text.size()) out += text[++i];
      else if (c == '"') in_string = false;
      continue;
    }
    const auto rest = text.substr(i);
    if (rest.starts_with("NaN")) {
      out += "null";
      i += 2;
    } else if (rest.starts_with("Infinity")) {
      out += kInfinity;
      i += 7;
    } else if (rest.starts_with("-Infinity")) {
      out += kMinusInfinity;
      i += 8;
    } else {
      in_string = c == '"';
      out += c;
    }
  }
  return out;
}

void restore_infinities(Json& json) {
  if (json.is_number_float() && std::abs(json.get<double>()) == kInfinityStandIn)
    json = std::copysign(std::numeric_limits<double>::infinity(), json.get<double>());
  else if (json.is_structured())
    for (auto& item : json) restore_infinities(item);
}

void check_depth(std::string_view text, std::string_view where) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) throw data_error(fmt::format("{}: JSON nested deeper than {} levels", where, kMaxDepth));
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

bool has_infinity(const Json& json) {
  if (json.is_number_float()) return !std::isfinite(json.get<double>());
  if (json.is_structured())
    for (const auto& item : json)
      if (has_infinity(item)) return true;
  return false;
}

/// nlohmann writes null for a number that is not finite: mark each with a string first, then strip the marks.
Json with_marked_infinities(Json json) {
  if (json.is_number_float() && !std::isfinite(json.get<double>())) {
    const double value = json.get<double>();
    return std::isnan(value) ? "\x01NaN" : value > 0 ? "\x01Infinity" : "\x01-Infinity";
  }
  if (json.is_structured())
    for (auto& item : json) item = with_marked_infinities(item);
  return json;
}

std::string dump(const Json& json, int indent) {
  const auto text = [&](const Json& value) { return value.dump(indent, ' ', true, Json::error_handler_t::replace); };
  if (!has_infinity(json)) return text(json);
  std::string out = text(with_marked_infinities(json));
  for (const std::string_view literal : {"NaN", "Infinity", "-Infinity"}) {
    const std::string marked = fmt::format("\"\\u0001{}\"", literal);
    for (size_t at = 0; (at = out.find(marked, at)) != std::string::npos;) out.replace(at, marked.size(), literal);
  }
  return out;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where) {
  check_depth(text, where);
  try {
    if (text.find("NaN") == std::string_view::npos && text.find("Infinity") == std::string_view::npos)
      return Json::parse(text);
    Json json = Json::parse(without_python_literals(text));
    restore_infinities(json);
    return json;
  } catch (const nlohmann::json::exception& e) {
    throw data_error(fmt::format("{} is not valid JSON: {}", where, e.what()));
  }
}

Json read_json(const fs::path& path) { return parse_json(read_file(path), fmt::format("\"{}\"", path.string())); }

std::string dump_json(const Json& json) { return dump(json, 2) + "\n"; }

std::string dump_json_line(const Json& json) { return dump(json, -1); }

void write_json(const fs::path& path, const Json& json) { write_file_atomic(path, dump_json(json)); }

}  // namespace unnoise
