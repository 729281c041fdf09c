#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/metrics/gaussians.h"
#include "unnoise/core/error.h"
#include "unnoise/metrics/frechet_distance.h"
#include "unnoise/metrics/frechet_infinity.h"

namespace unnoise {
namespace {

TEST(FrechetDistance, OfGaussiansIsTheClosedForm) {
  // Between diagonal Gaussians: sum of (m1 - m2)^2 + (s1 - s2)^2 (Dowson & Landau 1982).
  const Tensor x = with_exact_moments(200, {0, 1, -2}, {1, 2, 0.5}, 1);
  const Tensor y = with_exact_moments(300, {1, 1, 0}, {3, 1, 0.5}, 2);
  const double expected = (1 + 0 + 4) + (4 + 1 + 0);
  EXPECT_NEAR(frechet_distance(x, y), expected, 1e-10);  // float64 rounding of sums of 300 terms
  EXPECT_NEAR(frechet_distance(y, x), expected, 1e-10);
}

TEST(FrechetDistance, OfCovariancesThatDoNotCommuteIsSymmetricAndTurnsWithTheAxes) {
  const Tensor turn = std::get<0>(at::linalg_qr(standard(4, 4, 9)));
  const Tensor x = standard(400, 4, 3).matmul(standard(4, 4, 4)), y = standard(500, 4, 5).matmul(standard(4, 4, 6)) + 1;
  const double distance = frechet_distance(x, y);
  EXPECT_GT(distance, 1);
  EXPECT_NEAR(frechet_distance(y, x), distance, 1e-9 * distance);
  EXPECT_NEAR(frechet_distance(x.matmul(turn), y.matmul(turn)), distance, 1e-9 * distance);
}

TEST(FrechetDistance, OfASetWithItselfIsZero) {
  // Rounding only: 1e-7 of the variance is what the root leaves of eigenvalues cut off at 1e-14 of the largest.
  const Tensor many = standard(500, 32, 1) * 5;
  EXPECT_NEAR(frechet_distance(many, many), 0, 1e-7 * 32 * 25);
  const Tensor few = standard(20, 32, 1) * 5;  // fewer samples than features
  EXPECT_NEAR(frechet_distance(few, few), 0, 1e-7 * 32 * 25);
  const Tensor constant = at::cat({many, at::ones({500, 3}, at::kDouble)}, 1);  // features that never vary
  EXPECT_NEAR(frechet_distance(constant, constant), 0, 1e-7 * 32 * 25);
}

TEST(FrechetDistance, RefusesWhatHasNoMoments) {
  EXPECT_THROW(moments(standard(1, 4, 1)), Error);
  EXPECT_THROW(moments(standard(8, 4, 1) / 0), Error);
  EXPECT_THROW(frechet_distance(standard(8, 4, 1), standard(8, 5, 1)), Error);
}

TEST(FrechetInfinity, TakesAwayTheBiasOfFewSamples) {
  // Both sets are N(0,1) in 16 dimensions, the reference nearly exactly: the true distance is 0, and what finite
  // samples add is the bias.
  const FrechetReference reference(
      moments(with_exact_moments(2000, std::vector<double>(16, 0), std::vector<double>(16, 1), 1)));
  const Tensor drawn = standard(1000, 16, 2);
  const double plain = reference.distance_to(moments(drawn));
  const auto limit = frechet_infinity(reference, drawn, {.seed = 3});
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->sizes.front(), 100);
  EXPECT_EQ(limit->sizes.back(), 1000);
  EXPECT_EQ(limit->sizes.size(), 15u);
  EXPECT_GT(limit->slope, 0);
  // The bias at n = 1000 is about (D + D(D+1)/8) / n = 0.05; a tenth of it is the noise of 15 points.
  EXPECT_GT(plain, 0.03);
  EXPECT_LT(std::abs(limit->value), 0.3 * plain);
}

TEST(FrechetInfinity, NeedsEnoughSamples) {
  const FrechetReference reference(moments(standard(500, 16, 1)));
  EXPECT_FALSE(frechet_infinity(reference, standard(63, 16, 2)));
  EXPECT_TRUE(frechet_infinity(reference, standard(64, 16, 2)));
}

}  // namespace
}  // namespace unnoise
