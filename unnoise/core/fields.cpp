#include "unnoise/core/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace fields_detail {

void fail_type(std::string_view name, std::string_view expected, std::string_view found) {
  throw usage_error(fmt::format("{}: expected {}, found {}", name, expected, found));
}

void fail_choice(std::string_view name, const std::vector<std::string>& choices, std::string_view found) {
  const std::string near = nearest_name(found, choices);
  throw usage_error(fmt::format("{}: \"{}\" is not one of {}", name, found, fmt::join(choices, ", ")),
                    near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near));
}

void fail_unknown(std::string_view where, const std::string& name, const std::vector<std::string>& known) {
  const std::string near = nearest_name(name, known);
  throw usage_error(fmt::format("{}: unknown key \"{}\"", where, name),
                    near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near));
}

bool Value<bool>::from_json(std::string_view name, const Json& j) {
  if (!j.is_boolean()) fail_type(name, "true or false", j.dump());
  return j.get<bool>();
}

int64_t Value<int64_t>::from_json(std::string_view name, const Json& j) {
  if (j.is_number_integer()) return j.get<int64_t>();
  if (j.is_number_float()) {
    const double d = j.get<double>();
    if (d == std::floor(d) && std::abs(d) < 9e15) return static_cast<int64_t>(d);
  }
  fail_type(name, "a whole number", j.dump());
}

double Value<double>::from_json(std::string_view name, const Json& j) {
  if (!j.is_number()) fail_type(name, "a number", j.dump());
  return j.get<double>();
}

std::string Value<std::string>::from_json(std::string_view name, const Json& j) {
  if (!j.is_string()) fail_type(name, "text", j.dump());
  return j.get<std::string>();
}

Json bool_from_text(std::string_view name, std::string_view text) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  fail_type(name, "true or false", fmt::format("\"{}\"", text));
}

Json number_from_text(std::string_view name, std::string_view text, bool integer) {
  const auto quoted = [&] { return fmt::format("\"{}\"", text); };
  if (text.starts_with('+')) text.remove_prefix(1);
  const char* end = text.data() + text.size();
  if (integer) {
    int64_t value = 0;
    const auto [at, ec] = std::from_chars(text.data(), end, value);
    if (ec != std::errc() || at != end) fail_type(name, "a whole number", quoted());
    return value;
  }
  double value = 0;
  const auto [at, ec] = std::from_chars(text.data(), end, value);
  if (ec != std::errc() || at != end || std::isnan(value)) fail_type(name, "a number", quoted());
  return value;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    items.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return items;
}

}  // namespace fields_detail

std::string OptionRow::flag() const {
  std::string flag = "--" + name;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  const auto distance = [](std::string_view a, std::string_view b) {  // edits; two letters that changed places are one
    std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
    for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
    for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
    for (size_t i = 1; i <= a.size(); ++i)
      for (size_t j = 1; j <= b.size(); ++j) {
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    return d[a.size()][b.size()];
  };
  std::string best;
  size_t best_distance = std::max<size_t>(name.size() / 3, 1) + 1;
  for (const auto& candidate : candidates) {
    const size_t d = distance(name, candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

}  // namespace unnoise
