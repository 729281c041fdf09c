#include "unnoise/io/model_card.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/core/json.h"

namespace unnoise {
namespace {

constexpr std::string_view kMarkerStart = "<!-- Written by unnoise, ";
constexpr std::string_view kMarkerEnd = ". Change what you like: a card that was changed is not written again. -->\n";
constexpr size_t kChecksumDigits = 8;
constexpr std::string_view kFence = "---";

/// A YAML scalar: plain where that is safe, else double-quoted, for which JSON's form is valid YAML.
std::string yaml_scalar(const std::string& text) {
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' || c == '/';
  };
  const bool looks_typed = text == "true" || text == "false" || text == "null" || text == "yes" || text == "no" ||
                           text == "on" || text == "off";
  const bool plain = !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) && !looks_typed &&
                     std::all_of(text.begin(), text.end(), is_plain);
  return plain ? text : Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

/// The value of a scalar: quotes and escapes taken off, a comment after it dropped.
std::string plain_value(std::string_view text) {
  text = trim(text);
  if (text.starts_with('"')) {
    size_t end = 1;
    while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
    const Json value = Json::parse(text.substr(0, end + 1), nullptr, false);  // the escapes of JSON are YAML's, too
    return value.is_string() ? value.get<std::string>() : std::string(text);
  }
  if (text.starts_with('\'')) return std::string(text.substr(1, text.find('\'', 1) - 1));
  return std::string(trim(text.substr(0, text.starts_with('#') ? 0 : text.find(" #"))));
}

/// "[a, b]" or a scalar.
std::vector<std::string> values_of(std::string_view text) {
  text = trim(text);
  if (!text.starts_with('[')) {
    auto value = plain_value(text);
    return value.empty() ? std::vector<std::string>{} : std::vector{std::move(value)};
  }
  std::vector<std::string> values;
  text = text.substr(1, text.find(']') == std::string_view::npos ? text.size() : text.find(']') - 1);
  while (!text.empty()) {
    const size_t comma = text.find(',');
    if (auto value = plain_value(text.substr(0, comma)); !value.empty()) values.push_back(std::move(value));
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return values;
}

/// Of two texts, one after the other: what stands before and after the marker.
std::string checksum(std::string_view before, std::string_view after) {
  auto crc = ::crc32(0, nullptr, 0);
  for (const auto part : {before, after})
    crc = ::crc32_z(crc, reinterpret_cast<const unsigned char*>(part.data()), part.size());
  return fmt::format("{:08x}", crc);
}

std::string model_index(const ModelCard& card) {
  if (card.results.empty()) return "";
  std::string text = fmt::format("model-index:\n- name: {}\n  results:\n", yaml_scalar(card.title));
  for (const auto& result : card.results) {
    text += fmt::format(
        "  - task:\n      type: unconditional-image-generation\n    dataset:\n      type: {}\n      name: {}\n",
        yaml_scalar(result.dataset_type), yaml_scalar(result.dataset_name));
    if (!result.dataset_split.empty()) text += fmt::format("      split: {}\n", yaml_scalar(result.dataset_split));
    text += "    metrics:\n";
    for (const auto& [type, value, name] : result.metrics) {
      text += fmt::format("    - type: {}\n      value: {:.6g}\n", yaml_scalar(type), value);
      if (!name.empty()) text += fmt::format("      name: {}\n", yaml_scalar(name));
    }
  }
  return text;
}

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  auto line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

std::string model_card_text(const ModelCard& card) {
  std::string text = fmt::format("{}\n", kFence);
  if (!card.license.empty()) text += fmt::format("license: {}\n", yaml_scalar(card.license));
  if (!card.library_name.empty()) text += fmt::format("library_name: {}\n", yaml_scalar(card.library_name));
  if (!card.pipeline_tag.empty()) text += fmt::format("pipeline_tag: {}\n", yaml_scalar(card.pipeline_tag));
  if (!card.base_model.empty()) text += fmt::format("base_model: {}\n", yaml_scalar(card.base_model));
  if (!card.tags.empty()) text += "tags:\n";
  for (const auto& tag : card.tags) text += fmt::format("- {}\n", yaml_scalar(tag));
  if (!card.datasets.empty()) text += "datasets:\n";
  for (const auto& name : card.datasets) text += fmt::format("- {}\n", yaml_scalar(name));
  text += fmt::format("{}{}\n\n", model_index(card), kFence);
  std::string body;
  if (!card.title.empty()) body += fmt::format("\n# {}\n", card.title);
  if (!card.summary.empty()) body += fmt::format("\n{}\n", card.summary);
  for (const auto& [heading, content] : card.sections) body += fmt::format("\n## {}\n\n{}\n", heading, content);
  return fmt::format("{}{}{}{}{}", text, kMarkerStart, checksum(text, body), kMarkerEnd, body);
}

bool is_untouched_card(std::string_view text) {
  const size_t at = text.find(kMarkerStart);
  if (at == std::string_view::npos) return false;
  const std::string_view sum = text.substr(at + kMarkerStart.size()).substr(0, kChecksumDigits);
  const size_t end = at + kMarkerStart.size() + sum.size() + kMarkerEnd.size();
  return end <= text.size() && text.substr(0, end).ends_with(kMarkerEnd) &&
         sum == checksum(text.substr(0, at), text.substr(end));
}

bool save_model_card(const fs::path& model_dir, const ModelCard& card, ExistingCard existing) {
  const fs::path path = model_dir / "README.md";
  if (existing == ExistingCard::keep && fs::exists(path) && !is_untouched_card(read_file(path))) return false;
  make_folders(model_dir);
  write_file_atomic(path, model_card_text(card));
  return true;
}

std::map<std::string, std::vector<std::string>> parse_front_matter(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::map<std::string, std::vector<std::string>> fields;
  if (trim(take_line(text)) != kFence) return fields;
  std::vector<std::string>* current = nullptr;
  while (!text.empty()) {
    const auto line = take_line(text);
    if (trim(line) == kFence) return fields;
    if (const auto item = trim(line); item.starts_with("- ") && current) {
      if (auto value = plain_value(item.substr(2)); !value.empty()) current->push_back(std::move(value));
      continue;
    }
    const size_t colon = line.find(':');
    if (line.empty() || line[0] == ' ' || line[0] == '\t' || line[0] == '#' || colon == std::string_view::npos)
      continue;
    current = &fields[plain_value(line.substr(0, colon))];
    *current = values_of(line.substr(colon + 1));
  }
  return {};  // the block is never closed: it is no front matter
}

std::string read_license(const fs::path& model_dir) {
  const fs::path path = model_dir / "README.md";
  if (!fs::is_regular_file(path)) return {};
  const auto fields = parse_front_matter(read_file(path));
  const auto license = fields.find("license");
  return license == fields.end() || license->second.empty() ? "" : license->second.front();
}

}  // namespace unnoise
