// Which files of a folder belong to which split and class: the rule of the Python library `datasets` (its
// "imagefolder"), as pure functions of the relative paths.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "unnoise/core/files.h"

namespace unnoise {

/// All visible files below `root`, as relative paths with '/', sorted by their bytes. Names that start with '.' and
/// folders that start with '.' or "__" are left out with all that is in them; links to files are followed, links to
/// folders are not. Throws Error::environment when a folder may not be read.
std::vector<std::string> list_visible_files(const fs::path& root);

/// "train", "validation" or "test" for every spelling that the rule knows ("val", "dev", "testing", ...); Error::usage
/// otherwise.
std::string split_name(std::string_view spelling);

enum class SplitRule {
  whole,       ///< no split is marked: everything is "train"
  folders,     ///< by a folder on the way: train/, my-test/, val_2/
  file_names,  ///< by a word in the file's name: cat_train_01.png
};

struct FolderSplits {
  SplitRule rule = SplitRule::whole;
  /// Split and its files, in the order train, validation, test; only splits that have files. Files keep the rule's
  /// order: by the pattern that caught them ("train" before "training"), then by path. A file may be in two splits
  /// (train/test/x.png).
  std::vector<std::pair<std::string, std::vector<std::string>>> splits;

  /// Files of `split`, or nullptr.
  const std::vector<std::string>* find(std::string_view split) const;
};

/// Folders are asked first; only if none marks a split are file names asked, and only if these yield `wanted` (a single
/// picture called test.png must not hide all others). Otherwise everything is "train".
FolderSplits split_files(const std::vector<std::string>& files, std::string_view wanted);

/// Class names, sorted, if the folders of `split` are classes: its pictures lie in more than one folder name, all
/// equally deep. The names are those of all splits with pictures at that depth, so that train and test agree on the
/// numbers.
std::optional<std::vector<std::string>> folder_classes(const FolderSplits& splits, std::string_view split);

/// The name of the folder that a file lies in; "" at the top.
std::string_view parent_folder(std::string_view path);

}  // namespace unnoise
