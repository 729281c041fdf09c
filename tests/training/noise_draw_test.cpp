#include "unnoise/training/noise_draw.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

const auto kTable = table_process(NoiseSchedule(), PredictionType::epsilon);

double assignment_cost(const Tensor& cost, const std::vector<int64_t>& columns) {
  double sum = 0;
  for (size_t i = 0; i < columns.size(); ++i) sum += cost[static_cast<int64_t>(i)][columns[i]].item<double>();
  return sum;
}

TEST(LinearAssignment, EqualsTheBestOfAllPermutations) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed);
    const int64_t n = 1 + static_cast<int64_t>(seed % 6);
    const Tensor cost = rng.normal({n, n});
    std::vector<int64_t> columns(static_cast<size_t>(n));
    std::iota(columns.begin(), columns.end(), 0);
    double best = std::numeric_limits<double>::infinity();
    do best = std::min(best, assignment_cost(cost, columns));
    while (std::next_permutation(columns.begin(), columns.end()));
    auto found = linear_assignment(cost);
    EXPECT_NEAR(assignment_cost(cost, found), best, 1e-6);  // float32 costs
    std::sort(found.begin(), found.end());
    EXPECT_TRUE(std::adjacent_find(found.begin(), found.end()) == found.end()) << "each column once";
  }
}

TEST(DrawNoise, ImmiscibleNoiseIsTheSameNoiseNearerToItsPictures) {
  const Tensor x0 = at::randn({32, 1, 4, 4});
  Rng plain_rng(5), rng(5);
  const NoiseDraw plain = draw_noise(x0, *kTable, {}, plain_rng);
  const NoiseDraw dealt = draw_noise(x0, *kTable, {.tricks = {.immiscible_noise = true}}, rng);
  const auto distance = [&](const Tensor& eps) { return (x0 - eps).square().sum().item<double>(); };
  EXPECT_LT(distance(dealt.eps), distance(plain.eps));
  EXPECT_TRUE(std::get<0>(dealt.eps.flatten().sort()).equal(std::get<0>(plain.eps.flatten().sort())));
  EXPECT_TRUE(dealt.level.equal(plain.level));
}

TEST(DrawNoise, OffsetMovesWholeChannels) {
  const Tensor x0 = at::randn({4, 3, 5, 5});
  Rng plain_rng(1), rng(1);
  const Tensor shift =
      draw_noise(x0, *kTable, {.tricks = {.noise_offset = 0.1}}, rng).eps - draw_noise(x0, *kTable, {}, plain_rng).eps;
  EXPECT_LE((shift - shift.mean({2, 3}, true)).abs().max().item<double>(), 1e-6);  // float32 sums
  Rng twin(1);
  twin.normal({4, 3, 5, 5});
  EXPECT_LE((shift.select(3, 0).select(2, 0) - 0.1 * twin.normal({4, 3, 1, 1}).flatten(1)).abs().max().item<double>(),
            1e-6);
}

TEST(DrawNoise, PerturbationIsInThePictureAndNotAskedFor) {
  const Tensor x0 = at::randn({4, 3, 5, 5});
  Rng rng(1), twin(1);
  const NoiseDraw draw = draw_noise(x0, *kTable, {.tricks = {.input_perturbation = 0.5}}, rng);
  const Tensor eps = twin.normal({4, 3, 5, 5});
  EXPECT_TRUE(draw.eps.equal(eps));
  EXPECT_TRUE(draw.noise_in_picture().equal(eps + 0.5 * twin.normal({4, 3, 5, 5})));
}

TEST(DrawNoise, SelfConditioningIsAFairCoin) {
  Rng rng(0);
  int heads = 0;
  const Tensor x0 = at::randn({1, 1, 1, 1});
  for (int i = 0; i < 400; ++i) heads += draw_noise(x0, *kTable, {.self_conditioning = true}, rng).self_condition;
  EXPECT_NEAR(heads, 200, 40);  // 4 sigma
}

TEST(DrawNoise, RefusesNegativeAmounts) {
  Rng rng(0);
  const Tensor x0 = at::randn({1, 1, 1, 1});
  EXPECT_THROW(draw_noise(x0, *kTable, {.tricks = {.noise_offset = -1}}, rng), Error);
  EXPECT_THROW(draw_noise(x0, *kTable, {.tricks = {.input_perturbation = -0.1}}, rng), Error);
}

}  // namespace
}  // namespace unnoise
