#include "unnoise/nn/allocator.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "unnoise/nn/tensor.h"

namespace unnoise {
namespace {

TEST(UseCachingAllocator, TensorsOfBeforeAndAfterLiveSideBySide) {
  const Tensor before = at::full({1000, 1000}, 1.0F);
  use_caching_allocator();
  use_caching_allocator();
  const auto start = allocator_statistics();
  Tensor after = at::full({1000, 1000}, 2.0F);
  EXPECT_EQ(allocator_statistics().allocations, start.allocations + 1);
  EXPECT_GE(allocator_statistics().in_use_bytes, start.in_use_bytes + 4'000'000);
  EXPECT_EQ((before + after).sum().item<float>(), 3e6F);
  const void* const where = after.const_data_ptr();
  after.reset();
  const Tensor again = at::full({1000, 1000}, 3.0F);
  EXPECT_EQ(again.const_data_ptr(), where);
  EXPECT_EQ(at::full({0}, 1.0F).numel(), 0);
  release_cached_memory();
  EXPECT_EQ(again.sum().item<float>(), 3e6F);
}

}  // namespace
}  // namespace unnoise
