#include "unnoise/kernels/parallel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace unnoise::kernels {
namespace {

TEST(ParallelFor, CoversEveryItemOnce) {
  const int before = num_threads();
  for (const int threads : {1, 2, 3, 4}) {
    set_num_threads(threads);
    for (const int64_t n : {0, 1, 2, 7, 64, 1000}) {
      for (const int64_t grain : {1, 3, 64}) {
        std::vector<int> visits(static_cast<size_t>(n));
        parallel_for(n, grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        });
        EXPECT_EQ(visits, std::vector<int>(static_cast<size_t>(n), 1)) << threads << " threads, grain " << grain;
      }
    }
  }
  set_num_threads(before);
}

TEST(ParallelFor, IsSerialInsideAnother) {
  std::vector<int> sums(4);
  parallel_for(4, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      parallel_for(100, 1, [&](int64_t a, int64_t b) { sums[static_cast<size_t>(i)] += static_cast<int>(b - a); });
  });
  EXPECT_EQ(sums, std::vector<int>(4, 100));
}

// Loops one right after the other, and with pauses after which the threads still spin, or sleep.
TEST(ParallelFor, NoLoopIsLostWhetherItsThreadsSpinOrSleep) {
  const int before = num_threads();
  set_num_threads(3);
  for (const int pause_us : {0, 20, 200, 5000}) {
    for (int loop = 0; loop < (pause_us < 1000 ? 300 : 20); ++loop) {
      std::vector<int> visits(64);
      parallel_for(64, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
      });
      ASSERT_EQ(visits, std::vector<int>(64, 1)) << "loop " << loop << " after pauses of " << pause_us << " us";
      if (pause_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
    }
  }
  set_num_threads(before);
}

TEST(ParallelFor, ServesSeveralThreadsAtOnce) {
  std::vector<int64_t> sums(4);
  std::vector<std::thread> callers;
  for (int64_t& sum : sums)
    callers.emplace_back([&sum] {
      set_num_threads(2);
      for (int loop = 0; loop < 500; ++loop) {
        std::vector<int64_t> parts(64);
        parallel_for(64, 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) parts[static_cast<size_t>(i)] = i;
        });
        for (const int64_t part : parts) sum += part;
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sums, std::vector<int64_t>(4, 500 * 63 * 32));
}

}  // namespace
}  // namespace unnoise::kernels
