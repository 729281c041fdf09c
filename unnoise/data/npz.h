// Arrays of pictures in NumPy's .npz files.
#pragma once

#include <memory>
#include <string>

#include "unnoise/data/dataset.h"

namespace unnoise {

/// Opens the pictures of a split: an array of uint8 [N,H,W], [N,H,W,C] or [N,C,H,W] with C = 1, 3 or 4, called
/// x_train, train_images, ... or, without a split in its name (then it is "train"), images, data, x or arr_0; with
/// labels [N] in y_train, train_labels, ... or labels, label, y or arr_1. Error::data for other types and shapes, sizes
/// that do not fit the file (seen before memory is set aside), and objects, which would need code to be run.
std::shared_ptr<const Dataset> open_npz(const fs::path& file, const std::string& split);

}  // namespace unnoise
