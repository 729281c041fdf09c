#include "unnoise/data/picture_store.h"

#include <fmt/format.h>

#include <utility>

#include "unnoise/core/error.h"

namespace unnoise {

PictureStore::PictureStore(std::shared_ptr<const Dataset> data, const TransformOptions& transform, int64_t cache_bytes,
                           bool strict)
    : data_(std::move(data)), transform_(transform), cache_bytes_(cache_bytes), strict_(strict) {
  if (!data_ || data_->size() < 1) throw usage_error("the data set is empty");
  if (transform_.resolution < 1)
    throw usage_error(fmt::format("resolution: expected at least 1, found {}", transform_.resolution));
  kept_.resize(static_cast<size_t>(data_->size()));
  damaged_.resize(static_cast<size_t>(data_->size()));
}

PictureStore::Found PictureStore::get(int64_t i) {
  const int64_t n = data_->size();
  for (int64_t step = 0; step < n; ++step) {
    const int64_t candidate = (i + step) % n;
    bool damaged = false;
    auto picture = find(candidate, damaged);
    if (!picture && !damaged) picture = decode(candidate);
    if (picture) return {std::move(picture), candidate};
  }
  std::lock_guard lock(mutex_);
  throw data_error(fmt::format("none of the {} pictures can be decoded; the first: {}", n, first_problem_));
}

std::vector<std::string> PictureStore::take_warnings() {
  std::lock_guard lock(mutex_);
  return std::exchange(warnings_, {});
}

int64_t PictureStore::cached_bytes() const {
  std::lock_guard lock(mutex_);
  return kept_bytes_;
}

std::shared_ptr<const ResizedPicture> PictureStore::find(int64_t i, bool& damaged) const {
  std::lock_guard lock(mutex_);
  damaged = damaged_[static_cast<size_t>(i)];
  return kept_[static_cast<size_t>(i)];
}

/// The picture, kept if there is room; nullptr when it turns out to be damaged.
std::shared_ptr<const ResizedPicture> PictureStore::decode(int64_t i) {
  const auto place = static_cast<size_t>(i);
  try {
    auto picture = std::make_shared<const ResizedPicture>(resize_for_training(data_->read(i), transform_));
    std::lock_guard lock(mutex_);
    if (!kept_[place] && kept_bytes_ + picture->bytes() <= cache_bytes_) {
      kept_bytes_ += picture->bytes();
      kept_[place] = picture;
    }
    return picture;
  } catch (const Error& e) {
    if (strict_ || e.kind() != ErrorKind::data) throw;
    std::lock_guard lock(mutex_);
    if (!damaged_[place]) {
      warnings_.push_back(
          fmt::format("\"{}\" is damaged; the next picture stands in for it: {}", data_->name(i), e.message()));
      if (first_problem_.empty()) first_problem_ = e.message();
    }
    damaged_[place] = true;
    return nullptr;
  }
}

}  // namespace unnoise
