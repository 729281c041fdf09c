// The unpacked row groups that were used last, within a budget.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>

#include "unnoise/containers/parquet.h"

namespace unnoise {

/// From any thread. A block that two threads want at once is unpacked once.
class BlockCache {
 public:
  using Key = std::pair<size_t, size_t>;  // file, row group

  explicit BlockCache(int64_t budget) : budget_(budget) {}

  /// The block of `key`, made by `load` if it is not there; `bytes` is what it will take.
  std::shared_ptr<const PictureBlock> get(Key key, int64_t bytes, const std::function<PictureBlock()>& load);

 private:
  struct Kept {
    std::shared_future<std::shared_ptr<const PictureBlock>> block;
    int64_t bytes = 0;
    std::list<Key>::iterator place;
  };

  const int64_t budget_;
  std::mutex mutex_;
  std::map<Key, Kept> kept_;
  std::list<Key> recent_;  // the last used first
  int64_t bytes_ = 0;
};

}  // namespace unnoise
