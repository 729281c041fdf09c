// Pictures of a data set, decoded and resized, and kept in memory as far as a budget goes.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "unnoise/data/dataset.h"
#include "unnoise/data/transforms.h"

namespace unnoise {

/// What happens to a damaged picture (its header was fine, its pixels are not): the next picture of the data set that
/// decodes takes its place, wherever its turn comes. So the number of batches and everybody else's place in the order
/// stay as they are, and the same files give the same batches in every run. With strict, its Error::data is thrown
/// instead.
class PictureStore {
 public:
  /// `cache_bytes` bounds the memory of the pictures that are kept (8-bit, after resizing, before cropping).
  PictureStore(std::shared_ptr<const Dataset> data, const TransformOptions& transform, int64_t cache_bytes,
               bool strict);

  struct Found {
    std::shared_ptr<const ResizedPicture> picture;
    int64_t index = 0;  ///< whose picture it is: i, or that of its stand-in
  };
  /// Picture i. From any thread. Error::data when no picture of the set can be decoded.
  Found get(int64_t i);

  /// Lines on damaged pictures found since the last call.
  std::vector<std::string> take_warnings();

  const Dataset& data() const { return *data_; }
  const TransformOptions& transform() const { return transform_; }
  int64_t cached_bytes() const;

 private:
  std::shared_ptr<const ResizedPicture> find(int64_t i, bool& damaged) const;
  std::shared_ptr<const ResizedPicture> decode(int64_t i);

  const std::shared_ptr<const Dataset> data_;
  const TransformOptions transform_;
  const int64_t cache_bytes_;
  const bool strict_;

  mutable std::mutex mutex_;  // guards what follows; never held while a picture is decoded
  std::vector<std::shared_ptr<const ResizedPicture>> kept_;
  std::vector<bool> damaged_;
  int64_t kept_bytes_ = 0;
  std::vector<std::string> warnings_;
  std::string first_problem_;
};

}  // namespace unnoise
