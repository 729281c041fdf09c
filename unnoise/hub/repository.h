// Names on a hub: repositories, revisions, files.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace unnoise {

/// A hub keeps models and data sets apart: one of each may have the same name.
enum class RepoType { model, dataset };
constexpr auto enum_names(RepoType) {
  return std::array{std::pair{RepoType::model, "model"}, std::pair{RepoType::dataset, "dataset"}};
}

struct HubRepository {
  std::string name;  ///< "user/name"
  RepoType type = RepoType::model;

  std::string api_path() const;   ///< of its interface: "/api/models/user/name", "/api/datasets/user/name"
  std::string page_path() const;  ///< of its page and files: "/user/name", "/datasets/user/name"
};

/// "user/name", perhaps with "@revision".
struct HubName {
  HubRepository repository;
  std::string revision = "main";
};

/// The name that `text` is, or nothing: one slash, each part of letters, digits and -._ as the hub allows them. Whether
/// it exists is not asked.
std::optional<HubName> hub_name(std::string_view text, RepoType type = RepoType::model);

/// Error::usage, naming `where`, when `name` can be no repository's. Without a user ("name") only when `bare` allows
/// it.
void check_repository(std::string_view where, std::string_view name, bool bare = false);
/// The same for a branch, tag or commit.
void check_revision(std::string_view where, std::string_view revision);

/// Whether `text` is a commit: 40 hexadecimal digits.
bool is_commit(std::string_view text);

/// A file of a repository at a commit.
struct HubFile {
  std::string path;  ///< below the repository, with slashes; checked: it stays below a folder that it is joined to
  uint64_t size = 0;
  std::string blob_id;  ///< git's, of the content, or of the pointer when `sha256` is set
  std::string sha256;   ///< of the content of a large file, "" for others

  /// What the content is verified by and the cache calls it.
  const std::string& etag() const { return sha256.empty() ? blob_id : sha256; }
};

/// Whether a path that a server (or an archive) names stays below the folder it is joined to.
bool is_path_below(std::string_view path);

}  // namespace unnoise
