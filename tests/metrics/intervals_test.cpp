// Whether 95 % intervals hold what they are said to hold in about 95 of 100 draws.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/metrics/gaussians.h"
#include "unnoise/core/error.h"
#include "unnoise/metrics/bootstrap.h"
#include "unnoise/metrics/frechet_distance.h"

namespace unnoise {
namespace {

TEST(ShareEstimate, IsWilsonsInterval) {
  // Of 10: Wilson 1927, in the tables of Newcombe 1998 ("Two-sided confidence intervals for the single proportion").
  for (const auto& [hits, low, high] : {std::tuple{0, 0.0, 0.2775}, {1, 0.0179, 0.4042}, {5, 0.2366, 0.7634}}) {
    const Estimate e = share_estimate(hits / 10.0, 10), other = share_estimate(1 - hits / 10.0, 10);
    EXPECT_NEAR(e.low, low, 5e-5);
    EXPECT_NEAR(e.high, high, 5e-5);
    EXPECT_NEAR(other.low, 1 - e.high, 1e-12);
    EXPECT_NEAR(other.high, 1 - e.low, 1e-12);
  }
  EXPECT_EQ(share_estimate(1, 500).high, 1);
  EXPECT_LT(share_estimate(1, 500).low, 0.993);  // not the point that value ± 1.96 s / sqrt(n) is
  EXPECT_THROW(share_estimate(0.5, 0), Error);
}

/// How often the interval of a share of n draws with probability p holds p: the sum over the binomial distribution.
double share_coverage(double p, int64_t n) {
  double covered = 0;
  for (int64_t k = 0; k <= n; ++k) {
    const auto x = static_cast<double>(k), m = static_cast<double>(n);
    const double log_ways = std::lgamma(m + 1) - std::lgamma(x + 1) - std::lgamma(m - x + 1);
    const Estimate e = share_estimate(x / m, n);
    if (e.low <= p && p <= e.high) covered += std::exp(log_ways + x * std::log(p) + (m - x) * std::log1p(-p));
  }
  return covered;
}

TEST(ShareEstimate, HoldsTheProbabilityInNineteenOfTwentyDraws) {
  for (const int64_t n : {50, 100, 500})
    for (const double p : {0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98})
      // A share of n draws takes few values, so the coverage jumps around 0.95 (Brown, Cai & DasGupta 2001, figure 5).
      EXPECT_NEAR(share_coverage(p, n), 0.95, 0.035) << p << " of " << n;
}

// The bootstrap of the Fréchet distance: 80 draws of 200 beside one reference. The mean over draws is what the distance
// of 200 pictures is on average; that it is larger than the distance of infinitely many is no business of the interval.
TEST(FrechetInterval, HoldsTheMeanOfOtherDraws) {
  const FrechetReference reference(moments(with_exact_moments(500, {0, 0, 0, 0}, {1, 1, 1, 1}, 1)));
  constexpr uint64_t kDraws = 80;
  std::vector<Estimate> all;
  double mean = 0;
  for (uint64_t draw = 0; draw < kDraws; ++draw) {
    const Tensor y = gaussian(200, {0.5, 0, -0.3, 0}, {1.2, 1, 1, 0.8}, 10 + draw);
    const double error = bootstrap_standard_error(
        200, [&](const Tensor& places) { return reference.distance_to(moments(y.index_select(0, places))); },
        {.replicates = 40, .seed = draw});
    all.push_back(estimate(reference.distance_to(moments(y)), error, 0, HUGE_VAL));
    mean += all.back().value / kDraws;
  }
  const auto held =
      std::count_if(all.begin(), all.end(), [&](const Estimate& e) { return e.low <= mean && mean <= e.high; });
  EXPECT_GE(held, 70);  // 95 % are 76, with a standard deviation of 2
  for (const Estimate& e : all) EXPECT_LT(e.high - e.low, 2 * mean);
}

}  // namespace
}  // namespace unnoise
