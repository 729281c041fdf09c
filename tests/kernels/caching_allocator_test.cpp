#include "unnoise/kernels/caching_allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <random>
#include <thread>
#include <vector>

namespace unnoise::kernels {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % CachingAllocator::kAlignment == 0; }

struct Held {
  unsigned char* data;
  std::size_t bytes;
  unsigned char mark;
};

Held take(CachingAllocator& allocator, std::size_t bytes, unsigned char mark) {
  auto* const data = static_cast<unsigned char*>(allocator.allocate(bytes));
  std::memset(data, mark, bytes);
  return {data, bytes, mark};
}

bool intact(const Held& held) {
  return std::all_of(held.data, held.data + held.bytes, [&](unsigned char c) { return c == held.mark; });
}

/// Takes and frees blocks of all sizes in random order; what was written to a block must still be there at its end.
void churn(CachingAllocator& allocator, unsigned seed, int rounds) {
  std::mt19937 random(seed);
  std::vector<Held> held;
  for (int i = 0; i < rounds; ++i) {
    if (held.size() < 20 && random() % 5 < 3) {
      const std::size_t bytes = (std::size_t{1} << random() % 20) + random() % 1000;
      held.push_back(take(allocator, bytes, static_cast<unsigned char>(random())));
      ASSERT_TRUE(aligned(held.back().data));
    } else if (!held.empty()) {
      std::swap(held[random() % held.size()], held.back());
      ASSERT_TRUE(intact(held.back()));
      allocator.deallocate(held.back().data);
      held.pop_back();
    }
    if (i % 500 == 499) allocator.release_cached();
  }
  for (const Held& block : held) {
    ASSERT_TRUE(intact(block));
    allocator.deallocate(block.data);
  }
}

TEST(CachingAllocator, BlocksDoNotOverlapAndAllIsFreeInTheEnd) {
  for (const bool capped : {false, true}) {
    CachingAllocator allocator({.region_bytes = 64 * kMiB, .max_cached_bytes = capped ? kMiB : 64 * kMiB});
    for (unsigned seed = 0; seed < 5; ++seed) churn(allocator, seed, 2000);
    EXPECT_EQ(allocator.statistics().in_use_bytes, 0);
    EXPECT_GT(allocator.statistics().peak_in_use_bytes, 0);
    // Everything has been merged again: nearly the whole region can be had at once.
    void* const whole = allocator.allocate(63 * kMiB);
    EXPECT_GE(allocator.statistics().in_use_bytes, static_cast<int64_t>(63 * kMiB));
    allocator.deallocate(whole);
  }
}

TEST(CachingAllocator, ThreadsShareIt) {
  CachingAllocator allocator({.region_bytes = 256 * kMiB});
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) threads.emplace_back([&, seed] { churn(allocator, 100 + seed, 1500); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(allocator.statistics().in_use_bytes, 0);
}

TEST(CachingAllocator, ABlockFreedByAnotherThreadIsFree) {
  CachingAllocator allocator({.region_bytes = 64 * kMiB});
  const Held block = take(allocator, kMiB, 7);
  std::thread([&] { allocator.deallocate(block.data); }).join();
  EXPECT_EQ(allocator.statistics().in_use_bytes, 0);
}

TEST(CachingAllocator, TheSecondStepNeedsNothingFromTheSystem) {
  CachingAllocator allocator({.region_bytes = 256 * kMiB});
  const std::vector<std::size_t> sizes = {5 * kMiB, 40000, 18 * kMiB, kMiB, 5 * kMiB, 20000};
  int64_t growths = 0, peak = 0;
  for (int step = 0; step < 5; ++step) {
    std::vector<void*> blocks;
    for (const std::size_t bytes : sizes) blocks.push_back(allocator.allocate(bytes));
    for (void* block : blocks) allocator.deallocate(block);
    if (step == 0) growths = allocator.statistics().growths, peak = allocator.statistics().peak_in_use_bytes;
  }
  const auto statistics = allocator.statistics();
  EXPECT_EQ(statistics.growths, growths);
  EXPECT_EQ(statistics.peak_in_use_bytes, peak);
  EXPECT_EQ(statistics.allocations, 30);
  EXPECT_EQ(statistics.outside, 0);
  EXPECT_GE(statistics.cached_bytes, static_cast<int64_t>(29 * kMiB));
}

TEST(CachingAllocator, TakesTheFreeBlockThatFitsBest) {
  CachingAllocator allocator({.region_bytes = 256 * kMiB});
  const auto blocks = {allocator.allocate(9 * kMiB), allocator.allocate(64000),    allocator.allocate(3 * kMiB),
                       allocator.allocate(64000),    allocator.allocate(5 * kMiB), allocator.allocate(64000)};
  const std::vector<void*> all(blocks);
  for (const size_t i : {0, 2, 4}) allocator.deallocate(all[i]);
  EXPECT_EQ(allocator.allocate(3 * kMiB - 50), all[2]);
  EXPECT_EQ(allocator.allocate(4 * kMiB), all[4]);
  EXPECT_EQ(allocator.allocate(9 * kMiB), all[0]);
  for (void* block : all) allocator.deallocate(block);
  EXPECT_EQ(allocator.statistics().in_use_bytes, 0);
}

TEST(CachingAllocator, TakesTheLowestOfEqualBlocks) {
  for (const std::size_t bytes : {kMiB, kMiB - 4096}) {  // whole, and as a part
    CachingAllocator allocator({.region_bytes = 64 * kMiB});
    std::vector<void*> all;
    for (int i = 0; i < 7; ++i) all.push_back(allocator.allocate(kMiB));
    for (const size_t i : {3U, 1U, 5U}) allocator.deallocate(all[i]);
    EXPECT_EQ(allocator.allocate(bytes), all[1]);
    EXPECT_EQ(allocator.allocate(bytes), all[3]);
    EXPECT_EQ(allocator.allocate(bytes), all[5]);
    for (void* const block : all) allocator.deallocate(block);
  }
}

TEST(CachingAllocator, GivesMemoryBack) {
  CachingAllocator allocator({.region_bytes = 256 * kMiB});
  const Held low = take(allocator, 40 * kMiB, 1), kept = take(allocator, kMiB, 2), high = take(allocator, 40 * kMiB, 3);
  allocator.deallocate(low.data);
  allocator.deallocate(high.data);
  EXPECT_GE(allocator.statistics().cached_bytes, static_cast<int64_t>(79 * kMiB));
  allocator.release_cached();
  EXPECT_LE(allocator.statistics().cached_bytes, static_cast<int64_t>(8 * kMiB));  // parts of huge pages stay
  EXPECT_TRUE(intact(kept));
  const Held again = take(allocator, 40 * kMiB, 4);
  EXPECT_TRUE(intact(again));
  allocator.deallocate(again.data);
  allocator.deallocate(kept.data);
}

TEST(CachingAllocator, KeepsNoMoreThanItMay) {
  CachingAllocator allocator({.region_bytes = 256 * kMiB, .max_cached_bytes = 16 * kMiB});
  std::vector<Held> blocks;
  for (unsigned char i = 0; i < 10; ++i) blocks.push_back(take(allocator, 10 * kMiB, i));
  for (const Held& block : blocks) {
    allocator.deallocate(block.data);
    EXPECT_LE(allocator.statistics().cached_bytes, static_cast<int64_t>(16 * kMiB + 8 * kMiB));
  }
}

TEST(CachingAllocator, GoesOutsideForWhatIsSmallOrTooLargeForTheRegion) {
  CachingAllocator allocator({.region_bytes = 4 * kMiB});
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{16383}, 5 * kMiB}) {
    const Held block = take(allocator, bytes, 9);
    EXPECT_TRUE(aligned(block.data) && intact(block));
    allocator.deallocate(block.data);
  }
  EXPECT_EQ(allocator.statistics().outside, 4);
  allocator.deallocate(nullptr);
  EXPECT_THROW(allocator.allocate(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
}

}  // namespace
}  // namespace unnoise::kernels
