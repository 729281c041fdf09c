// A folder of pictures of any depth, with classes and captions as the Python library `datasets` finds them.
#pragma once

#include <memory>
#include <string>

#include "unnoise/data/dataset.h"
#include "unnoise/data/file_tree.h"

namespace unnoise {

/// Opens the pictures below `root` whose format is known (io/image_read.h).
///
/// - Order: sorted by relative path; with metadata files, by their rows. Hidden files and folders do not count.
/// - Split and classes: imagefolder_rule.h. Files outside the split are left out.
/// - metadata.csv / metadata.jsonl (in any folder; paths in it are relative to it): its rows are the pictures, its
/// columns
///   what is known of them, and folders are then no classes. A column `label` gives the class: whole numbers as they
///   are, words by their sorted order.
/// - Every picture's header is looked at once, in parallel (progress stage "scan data"); what is no picture is skipped,
/// so that
///   size() and the order depend on the files alone. A picture that is damaged further in is found when it is read:
///   read() throws Error::data, and the loader puts the next picture in its place (picture_store.h).
/// - read() turns pictures upright by their EXIF orientation, as `datasets` does.
/// - Without metadata, files of the same name beside a picture tell about it: dog.txt or dog.caption the caption; in
/// archives also dog.cls the class and dog.json the columns (WebDataset's names).
std::shared_ptr<const Dataset> open_folder(const fs::path& root, const std::string& split, bool strict,
                                           const Observer& observer = {});

/// The same for the files of an archive or of several (file_tree.h). The names of archives mark splits
/// ("train-0000.tar"), but are no classes.
std::shared_ptr<const Dataset> open_picture_tree(std::shared_ptr<const FileTree> files, const std::string& split,
                                                 bool strict, const Observer& observer = {});

}  // namespace unnoise
