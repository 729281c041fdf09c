#include "unnoise/data/image_set.h"

#include <limits>
#include <utility>

namespace unnoise {

BatchRange::Iterator& BatchRange::Iterator::operator++() {
  range_->advance();
  return *this;
}

BatchRange::Iterator BatchRange::begin() {
  advance();
  return Iterator(*this);
}

void BatchRange::advance() {
  done_ = left_ == 0;
  if (done_) return;
  --left_;
  Batch batch = loader_.next();
  current_ = {std::move(batch.images), std::move(batch.labels)};
}

ImageSet::ImageSet(const ImageSetOptions& options, const Observer& observer) : observer_(observer) {
  const LoaderOptions defaults;
  DatasetOptions source;
  source.path_or_name = options.path;
  source.split = options.split;
  const TransformOptions transform{options.resolution, options.mode, options.center_crop, options.random_flip, false};
  store_ =
      std::make_shared<PictureStore>(open_dataset(source, observer), transform, defaults.cache_bytes, defaults.strict);
}

BatchRange ImageSet::batches(int64_t batch_size, Rng& rng) const {
  LoaderOptions options;
  options.batch_size = batch_size;
  options.seed = static_cast<uint64_t>(*rng.integers(std::numeric_limits<int64_t>::max(), 1).const_data_ptr<int64_t>());
  return BatchRange(Loader(store_, options, observer_));
}

}  // namespace unnoise
