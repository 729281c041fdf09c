#include "unnoise/hub/repository.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr size_t kLongestName = 96;

/// A user's or a repository's: letters, digits, -._; neither ".." nor "--", nor - or . at an end, nor ".git".
bool is_name_part(std::string_view part) {
  const auto is_allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  };
  const auto has = [&](std::string_view what) { return part.find(what) != std::string_view::npos; };
  if (part.empty() || part.size() > kLongestName || !std::all_of(part.begin(), part.end(), is_allowed)) return false;
  const auto is_edge = [](char c) { return c == '-' || c == '.'; };
  return !is_edge(part.front()) && !is_edge(part.back()) && !has("..") && !has("--") && !part.ends_with(".git");
}

bool is_repository(std::string_view name) {
  const size_t slash = name.find('/');
  return slash != std::string_view::npos && is_name_part(name.substr(0, slash)) && is_name_part(name.substr(slash + 1));
}

bool is_revision(std::string_view text) {
  const auto is_allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '/';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), is_allowed) && is_path_below(text);
}

}  // namespace

std::string HubRepository::api_path() const {
  return (type == RepoType::dataset ? "/api/datasets/" : "/api/models/") + name;
}

std::string HubRepository::page_path() const { return (type == RepoType::dataset ? "/datasets/" : "/") + name; }

std::optional<HubName> hub_name(std::string_view text, RepoType type) {
  HubName name;
  const size_t at = text.find('@');
  name.repository = {std::string(text.substr(0, at)), type};
  if (at != std::string_view::npos) name.revision = text.substr(at + 1);
  if (!is_repository(name.repository.name) || !is_revision(name.revision)) return std::nullopt;
  return name;
}

void check_repository(std::string_view where, std::string_view name, bool bare) {
  if (is_repository(name) || (bare && is_name_part(name))) return;
  throw usage_error(fmt::format("{}: \"{}\" is no name of a repository", where, name),
                    fmt::format("Expected {}USER/NAME, of letters, digits and -._, each part at most {} long.",
                                bare ? "NAME or " : "", kLongestName));
}

void check_revision(std::string_view where, std::string_view revision) {
  if (!is_revision(revision))
    throw usage_error(fmt::format("{}: \"{}\" is no branch, tag or commit", where, revision), "For example: main.");
}

bool is_commit(std::string_view text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c); });
}

bool is_path_below(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.size() > 1000) return false;
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < ' ' || c == '\\' || c == 0x7f; }))
    return false;
  for (;;) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace unnoise
