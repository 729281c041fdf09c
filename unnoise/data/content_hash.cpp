#include "unnoise/data/content_hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "unnoise/core/fnv1a.h"

namespace unnoise {
namespace {

uint64_t spread_bits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t picture_hash(const Dataset& data, int64_t i) {
  Fnv1a hash;
  try {
    const DecodedImage picture = data.read(i);
    hash.add(picture.width);
    hash.add(picture.height);
    hash.add(picture.mode.data(), picture.mode.size());
    for (const auto* bytes : {&picture.pixels, &picture.palette, &picture.palette_alpha})
      hash.add(bytes->data(), bytes->size());
  } catch (const std::exception&) {
    hash.add(int64_t{0});
  }
  hash.add(data.label(i).value_or(-1));
  return spread_bits(hash.value());
}

}  // namespace

std::string content_hash(const Dataset& data, const Observer& observer) {
  const int64_t size = data.size();
  std::atomic<int64_t> next{0};
  std::atomic<uint64_t> sum{0};
  const auto work = [&] {
    uint64_t own = 0;
    for (int64_t i; (i = next.fetch_add(1)) < size;) own += picture_hash(data, i);
    sum += own;
  };
  {
    const size_t threads = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 8);
    std::vector<std::jthread> workers;
    for (size_t i = 0; i < threads; ++i) workers.emplace_back(work);
    while (next < size) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      observer.progress({.stage = "check data", .done = std::min<int64_t>(next, size), .total = size});
    }
  }
  return fmt::format("pixels-{:016x}", sum.load());
}

}  // namespace unnoise
