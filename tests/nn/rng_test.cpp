#include "unnoise/nn/rng.h"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

float at_index(const Tensor& x, int64_t i) { return x.flatten()[i].item<float>(); }

// Values of torch 2.x with a CPU generator of seed 0. Printed to six digits, hence the tolerance.
constexpr float kPrinted = 1e-6f;

TEST(Rng, DrawsTorchsCpuStream) {
  const auto eight = Rng(0).normal({8});
  EXPECT_NEAR(at_index(eight, 0), 1.540996f, kPrinted);
  EXPECT_NEAR(at_index(eight, 7), 0.838026f, kPrinted);
  const auto sixteen = Rng(0).normal({16});  // 16 and more take the vectorised path: other numbers
  EXPECT_NEAR(at_index(sixteen, 0), -1.125840f, kPrinted);
  EXPECT_NEAR(at_index(sixteen, 15), -0.247278f, kPrinted);
  EXPECT_NEAR(at_index(Rng(0).uniform({4}), 0), 0.496257f, kPrinted);
  const auto integers = Rng(0).integers(1000, 5);
  EXPECT_EQ(integers[0].item<int64_t>(), 44);
  EXPECT_EQ(integers[4].item<int64_t>(), 963);
  EXPECT_EQ(Rng(0).permutation(8)[0].item<int64_t>(), 4);
}

TEST(Rng, AStreamAnImageEqualsSoloDraws) {
  auto both = Rng::per_image({3, 4});
  const auto batch = both.normal({2, 3, 4, 4});
  EXPECT_TRUE(at::equal(batch[1], Rng(4).normal({1, 3, 4, 4})[0]));
  EXPECT_THROW(both.normal({3, 2}), Error);
}

TEST(Rng, SavedStateContinuesTheStream) {
  Rng a(5);
  a.normal({3});  // leaves a cached Box-Muller value behind, which the state must hold
  const auto state = a.state();
  const auto expected = a.normal({20});
  Rng b(0);
  b.set_state(state);
  EXPECT_TRUE(at::equal(b.normal({20}), expected));
}

}  // namespace
}  // namespace unnoise
