// What the unpackers of the sets known by name share (known_set_files.h), and the unpackers that have their own file.
#pragma once

#include <fmt/format.h>

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/core/observer.h"
#include "unnoise/data/file_tree.h"
#include "unnoise/data/known_sets.h"
#include "unnoise/recipes/data_options.h"

namespace unnoise {

struct UnpackJob {
  const KnownSet& set;
  const std::vector<fs::path>& packages;
  const fs::path& into;
  const DataGetOptions& options;
  const Observer& observer;
  const std::stop_token& stop;

  Error other_contents(std::string_view what) const {
    return data_error(fmt::format("package {}: expected {}", set.package, what),
                      "This version of the package is laid out differently.");
  }
};

inline Json json_in(const FileTree& package, const std::string& file) {
  return parse_json(package.read(file).view(), fmt::format("\"{}\", {}", package.where(), file));
}

/// emoji-datasource-*: emoji.json and img/<maker>/64/*.png.
void unpack_emoji_datasource(const UnpackJob& job);
/// @lobehub/fluent-emoji-3d: assets/<code points>.webp, named by emojibase-data.
void unpack_fluent_emoji(const UnpackJob& job);

}  // namespace unnoise
