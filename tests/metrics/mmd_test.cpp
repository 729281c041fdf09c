#include "unnoise/metrics/mmd.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/metrics/gaussians.h"
#include "unnoise/core/error.h"
#include "unnoise/metrics/bootstrap.h"
#include "unnoise/metrics/kernel_distance.h"
#include "unnoise/metrics/nearest.h"
#include "unnoise/metrics/sliced_wasserstein.h"

namespace unnoise {
namespace {

TEST(Mmd, OfThreePointsIsTheSumByHand) {
  // x = {0, 1}, y = {2, 4} under k(a,b) = (ab + 1)^3: k(0,1) = 1, k(2,4) = 729, k(0,4) = 1, k(1,2) = 27.
  // Gretton et al. 2012, eq. 4 over the two ordered pairs: 1 + 729 - 1 - 27.
  const Tensor x = at::tensor({0.0, 1.0}, at::kDouble).view({2, 1}),
               y = at::tensor({2.0, 4.0}, at::kDouble).view({2, 1});
  EXPECT_DOUBLE_EQ(unbiased_mmd2(x, y, polynomial_kernel), 1 + 729 - 1 - 27);
}

TEST(Mmd, OfGaussiansUnderAGaussianKernelIsTheClosedForm) {
  // For N(a, I) and N(b, I) in D dimensions, bandwidth h: 2 (h^2/(h^2+2))^(D/2) (1 - exp(-|a-b|^2 / (2 (h^2+2)))).
  const double h = 2, d = 3, shift = 1.5;
  const double expected = 2 * std::pow(h * h / (h * h + 2), d / 2) * (1 - std::exp(-shift * shift / (2 * (h * h + 2))));
  const Tensor x = standard(1500, 3, 1), y = gaussian(1500, {shift, 0, 0}, {1, 1, 1}, 2);
  EXPECT_NEAR(unbiased_mmd2(x, y, rbf_kernel(h)), expected, 0.02);  // 4 / sqrt(1500) of values of about 0.2
}

TEST(Mmd, OfASetWithItselfIsZero) {
  const Tensor x = standard(200, 8, 1);
  EXPECT_NEAR(kernel_distance(x, x).value, 0, 1e-12);
  EXPECT_NEAR(subset_mmd2(x, x, rbf_kernel(1)).value, 0, 1e-12);
}

TEST(KernelDistance, HasNoBiasAndSeesAShift) {
  const Tensor x = standard(1000, 8, 1);
  const auto same = kernel_distance(x, standard(1000, 8, 2), {.count = 50, .size = 200});
  EXPECT_LT(std::abs(same.value), 3 * same.standard_error);
  EXPECT_EQ(same.subset_size, 200);
  EXPECT_EQ(kernel_distance(x, standard(300, 8, 2)).subset_size, 150);  // half of the smaller set
  const auto shifted = kernel_distance(x, standard(1000, 8, 2) + 0.5, {.count = 50, .size = 200});
  EXPECT_GT(shifted.value, 5 * shifted.standard_error);
}

TEST(KernelDistance, StatesTheSpreadOfRepetitions) {
  // The standard error of one measurement beside the real spread of 20 of them on samples drawn anew.
  const Tensor reference = standard(600, 4, 1000);
  std::vector<double> values, errors;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto found =
        kernel_distance(standard(600, 4, 2 * seed) + 0.3, standard(600, 4, 2 * seed + 1), {.count = 30, .size = 150});
    values.push_back(found.value);
    errors.push_back(found.standard_error);
  }
  const double spread = at::tensor(values, at::kDouble).std().item<double>();
  const double stated = at::tensor(errors, at::kDouble).mean().item<double>();
  EXPECT_GT(stated, 0.5 * spread);  // a spread of 20 values is known to a sixth
  EXPECT_LT(stated, 2.0 * spread);
}

TEST(MedianDistance, OfPointsOnALine) {
  const Tensor x = at::tensor({0.0, 1.0, 3.0}, at::kDouble).view({3, 1}),
               y = at::tensor({7.0}, at::kDouble).view({1, 1});
  EXPECT_DOUBLE_EQ(median_distance(x, y), 3);  // 1 2 3 4 6 7: the lower of the middle two
}

TEST(SlicedWasserstein, OfAShiftIsItsRootMeanSquare) {
  // Along a unit direction a shift c moves all values by theta.c, whose mean square over directions is |c|^2 / D.
  const Tensor x = standard(500, 3, 1);
  const Tensor shift = at::tensor({3.0, 0.0, 0.0}, at::kDouble);
  // The mean of 2000 directions: theta_1^2 has mean 1/3 and deviation 0.3, so 0.02 of the root's value.
  EXPECT_NEAR(sliced_wasserstein(x, x + shift, {.directions = 2000}), std::sqrt(3.0), 0.06);
}

TEST(SlicedWasserstein, OfASetWithItselfIsZero) {
  const Tensor x = standard(100, 5, 1);
  EXPECT_EQ(sliced_wasserstein(x, x), 0);
  EXPECT_GT(sliced_wasserstein(x, standard(60, 5, 2)), 0);  // sets of different sizes
}

TEST(Bootstrap, OfAMeanIsItsClosedForm) {
  const Tensor x = standard(400, 1, 1).flatten();
  const auto mean = [&](const Tensor& places) { return x.index_select(0, places).mean().item<double>(); };
  const double closed = mean_standard_error(x);
  EXPECT_NEAR(closed, 0.05, 0.005);                                                              // 1 / sqrt(400)
  EXPECT_NEAR(bootstrap_standard_error(400, mean, {.replicates = 400}), closed, 0.12 * closed);  // 3 / sqrt(2 x 400)
}

TEST(Bootstrap, IntervalsHoldTheTruthAsOftenAsTheySay) {
  int64_t held = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Tensor x = standard(100, 1, seed).flatten();
    const Estimate e = estimate(x.mean().item<double>(), mean_standard_error(x), -1e9, 1e9);
    held += e.low <= 0 && 0 <= e.high;
  }
  EXPECT_GE(held, 180);  // 190 expected, deviation 3
  EXPECT_LE(held, 200);
}

TEST(Nearest, AgreesWithEveryDistanceTakenAlone) {
  const Tensor x = standard(70, 6, 1), y = standard(90, 6, 2);
  const Neighbours found = nearest_neighbours(x, y, 4);
  for (int64_t i = 0; i < 70; ++i) {
    const auto [distances, order] = (y - x[i]).square().sum(1).sqrt().sort(0);
    EXPECT_TRUE(found.indices[i].equal(order.narrow(0, 0, 4))) << i;
    EXPECT_LT((found.distances[i] - distances.narrow(0, 0, 4)).abs().max().item<double>(), 1e-12);
  }
}

TEST(Nearest, FindsAnEqualRowAtExactlyZero) {
  const Tensor y = standard(50, 300, 1).to(at::kFloat) * 100;  // where |x|^2 - 2xy + |y|^2 would leave rounding
  const Neighbours found = nearest_neighbours(y, y, 2);
  EXPECT_EQ(found.distances.select(1, 0).max().item<double>(), 0);
  EXPECT_GT(nearest_neighbours(y, y, 1, /*leave_out_own=*/true).distances.min().item<double>(), 0);
  EXPECT_THROW(nearest_neighbours(y, y, 50, true), Error);
}

}  // namespace
}  // namespace unnoise
