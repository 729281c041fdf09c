#include "unnoise/data/block_cache.h"

#include <exception>
#include <utility>

namespace unnoise {

std::shared_ptr<const PictureBlock> BlockCache::get(Key key, int64_t bytes, const std::function<PictureBlock()>& load) {
  std::promise<std::shared_ptr<const PictureBlock>> promise;
  {
    std::unique_lock lock(mutex_);
    if (const auto found = kept_.find(key); found != kept_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second.place);
      const auto block = found->second.block;
      lock.unlock();
      return block.get();  // waits for the thread that unpacks it; throws what that one threw
    }
    recent_.push_front(key);
    kept_[key] = {promise.get_future().share(), bytes, recent_.begin()};
    bytes_ += bytes;
    while (bytes_ > budget_ && recent_.back() != key) {  // who still reads a dropped block holds it
      const auto last = kept_.find(recent_.back());
      bytes_ -= last->second.bytes;
      kept_.erase(last);
      recent_.pop_back();
    }
  }
  try {
    auto block = std::make_shared<const PictureBlock>(load());
    promise.set_value(block);
    return block;
  } catch (...) {
    promise.set_exception(std::current_exception());
    throw;
  }
}

}  // namespace unnoise
