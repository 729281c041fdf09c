#include "unnoise/recipes/data_licence.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/data/dataset.h"
#include "unnoise/io/model_card.h"
#include "unnoise/recipes/data_source.h"

namespace unnoise {
namespace {

constexpr std::string_view kLine = "- pictures: ", kBy = ", by ";

/// As hubs write licences: "cc-by-4.0".
std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

DataLicence licence_in(const std::string& text) {
  const size_t at = text.find(kLine), end = text.find('\n', at);
  if (at == std::string::npos) return {};
  const std::string line = text.substr(at + kLine.size(), end - at - kLine.size());
  const size_t by = line.find(kBy);
  return {lower_case(line.substr(0, by)), by == std::string::npos ? "" : line.substr(by + kBy.size())};
}

/// The set whose name it is, or which is installed in that folder.
const KnownSet* known_set(const std::string& path_or_name) {
  std::error_code ec;
  if (!fs::exists(path_or_name, ec)) return find_known_set(path_or_name);
  for (const KnownSet& set : known_sets())
    for (const auto& root : DatasetOptions().installed_sets)
      if (fs::equivalent(path_or_name, root / set.name, ec) && !ec) return &set;
  return nullptr;
}

}  // namespace

std::string licence_line(std::string_view licence, std::string_view credit) {
  return fmt::format("{}{}{}{}\n", kLine, licence, kBy, credit);
}

DataLicence data_licence(const std::string& path_or_name) {
  DataLicence found;
  std::error_code ec;
  if (const KnownSet* set = known_set(path_or_name))
    found = {lower_case(std::string(set->licence)), std::string(set->credit)};
  if (!fs::is_directory(path_or_name, ec)) return found;
  if (const fs::path file = fs::path(path_or_name) / kLicencesFile; fs::is_regular_file(file, ec))
    found = licence_in(read_file(file));
  if (const std::string stated = read_license(path_or_name); !stated.empty()) found.licence = stated;
  return found;
}

void pass_on_licence(const std::string& source, const fs::path& folder) {
  const DataLicence from = data_licence(source);
  if (from.credit.empty()) return;
  write_part(
      folder / kLicencesFile,
      fmt::format("# {}\n\n{}\nName the licence and the authors when you share the pictures, or a model that was "
                  "trained on them.\n",
                  fs::path(source).filename().string(), licence_line(from.licence, from.credit)));
}

}  // namespace unnoise
