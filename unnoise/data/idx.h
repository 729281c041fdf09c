// IDX files, the format of MNIST and its kin: a magic number, big-endian sizes, bytes; often gzipped.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/data/dataset.h"

namespace unnoise {

/// An array of bytes (IDX type 0x08).
struct IdxArray {
  std::vector<int64_t> sizes;   ///< [N] labels, [N,H,W] pictures
  std::vector<uint8_t> values;  ///< row by row, as many as the product of `sizes`
};

/// Reads an IDX file of bytes with 1 to 4 dimensions, gzipped or not (the contents decide, not the name). Throws
/// Error::data, naming the file, when the magic number is another, the header's sizes do not fit the file (seen before
/// memory is set aside), or the file ends early or late.
IdxArray read_idx(const fs::path& path);

/// Bytes unpacked from gzip, at most `max_size`; Error::data that names `where` when they are more or damaged.
std::string gunzip(std::string_view packed, size_t max_size, std::string_view where);

/// Whether the file starts like an IDX file of [N,H,W] bytes. Never throws.
bool is_idx_images(const fs::path& path);

/// Grey pictures [N,H,W] with the labels of `labels_file` [N], if given. Without `label_names`, classes are "0", "1",
/// ...
std::shared_ptr<const Dataset> open_idx_files(const fs::path& images_file, const std::optional<fs::path>& labels_file,
                                              std::vector<std::string> label_names = {});

/// The labels that usually lie beside an images file (train-images-idx3-ubyte.gz -> train-labels-idx1-ubyte[.gz]), if
/// there.
std::optional<fs::path> labels_beside(const fs::path& images_file);

/// The images file of a split in a folder: [prefix]train-images-idx3-ubyte[.gz], t10k- or test- for "test"; a dot may
/// stand for the last dash but one. Nothing if the folder has no such file.
std::optional<fs::path> idx_images_in(const fs::path& folder, const std::string& split);

/// Whether the folder holds images files of any split.
bool has_idx_images(const fs::path& folder);

}  // namespace unnoise
