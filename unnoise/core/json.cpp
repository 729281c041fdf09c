#include "unnoise/core/json.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
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
      if (c == '\\' && i + 1 < text.size())
        out += text[++i];
      else if (c == '"')
        in_string = false;
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
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) throw data_error(fmt::format("{}: JSON nested deeper than {} levels", where, kMaxDepth));
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
}

/// The shortest digits that give the same number again, laid out as Python's repr does: 0.0001, 1e-05, 1.0, 1e+16,
/// Infinity.
std::string python_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  const double magnitude = std::abs(value);
  const bool fixed = value == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 fixed ? std::chars_format::fixed : std::chars_format::scientific)
                       .ptr;
  std::string text(buffer.data(), end);
  if (fixed && text.find('.') == std::string::npos) text += ".0";
  return text;
}

/// nlohmann's own writer is not used for numbers: one in 300 gets a digit more than Python writes, and infinities
/// become null.
void append(std::string& out, const Json& json, int indent, int level) {
  const auto new_line = [&](int to_level) {
    if (indent >= 0) out.append("\n").append(static_cast<size_t>(indent * to_level), ' ');
  };
  const auto scalar = [](const Json& value) { return value.dump(-1, ' ', true, Json::error_handler_t::replace); };
  if (json.is_number_float()) {
    out += python_float(json.get<double>());
  } else if (!json.is_structured() || json.empty()) {
    out += scalar(json);
  } else {
    out += json.is_object() ? '{' : '[';
    for (auto item = json.begin(); item != json.end(); ++item) {
      if (item != json.begin()) out += ',';
      new_line(level + 1);
      if (json.is_object()) out.append(scalar(Json(item.key()))).append(indent >= 0 ? ": " : ":");
      append(out, *item, indent, level + 1);
    }
    new_line(level);
    out += json.is_object() ? '}' : ']';
  }
}

std::string dump(const Json& json, int indent) {
  std::string out;
  append(out, json, indent, 0);
  return out;
}

/// The parser's words without its label. It quotes what it could not read: bytes that may be no text, of a server
/// perhaps.
std::string words_of(const nlohmann::json::exception& e) {
  std::string words = e.what();
  if (const size_t label = words.find("] "); words.starts_with('[') && label != std::string::npos)
    words.erase(0, label + 2);
  for (char& c : words)
    if (static_cast<unsigned char>(c) >= 0x7f) c = '?';
  return words;
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
    throw data_error(fmt::format("{} is not valid JSON: {}", where, words_of(e)));
  }
}

Json read_json(const fs::path& path) { return parse_json(read_file(path), fmt::format("\"{}\"", path.string())); }

std::string dump_json(const Json& json) { return dump(json, 2) + "\n"; }

std::string dump_json_line(const Json& json) { return dump(json, -1); }

void write_json(const fs::path& path, const Json& json) { write_file_atomic(path, dump_json(json)); }

}  // namespace unnoise
