#include "unnoise/kernels/parallel.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace unnoise::kernels
