// CIFAR-10 and CIFAR-100 in their binary versions: records of a label (CIFAR-100: a coarse and a fine one) and 3072
// bytes, 32x32 red, then green, then blue (Krizhevsky 2009).
#pragma once

#include <memory>
#include <string>

#include "unnoise/data/dataset.h"
#include "unnoise/data/file_tree.h"

namespace unnoise {

/// Whether the folder or archive holds data_batch_1.bin (CIFAR-10) or train.bin and test.bin with fine_label_names.txt
/// (CIFAR-100), in any folder.
bool is_cifar(const FileTree& files);

/// Opens a split. Classes have the names of batches.meta.txt or fine_label_names.txt. Error::data when a file's size is
/// no number of records or a label is none of the classes.
std::shared_ptr<const Dataset> open_cifar(std::shared_ptr<const FileTree> files, const std::string& split);

}  // namespace unnoise
