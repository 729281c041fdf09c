#include "unnoise/training/lr_range.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace unnoise {
namespace {

/// The textbook curve: flat, falls around `falls` (a logistic in log10 rate), explodes above `explodes`.
std::vector<double> textbook(const std::vector<double>& rates, double falls, double explodes) {
  std::vector<double> losses;
  for (const double rate : rates) {
    const double fallen = 1 / (1 + std::exp(-4 * std::log10(rate / falls)));
    losses.push_back(1.0 - 0.9 * fallen + std::pow(rate / explodes, 4));
  }
  return losses;
}

TEST(LrRange, LadderHasEqualFactors) {
  const auto rates = lr_ladder(1e-5, 1e-1, 5);
  ASSERT_EQ(rates.size(), 5u);
  for (size_t i = 0; i < rates.size(); ++i) EXPECT_NEAR(rates[i], 1e-5 * std::pow(10, i), 1e-9 * rates[i]);
}

TEST(LrRange, FindsTheFallAndTheEdge) {
  const auto rates = lr_ladder(1e-6, 1, 100);
  const auto found = judge_lr_range(rates, textbook(rates, 1e-3, 0.1));
  ASSERT_TRUE(found.suggested && found.steepest && found.diverges_above);
  // The running mean of 100 steps over 6 decades lags by about 5 steps, 0.3 decades: a factor of 3 either way.
  EXPECT_THAT(*found.steepest, ::testing::AllOf(::testing::Gt(0.4e-3), ::testing::Lt(4e-3)));
  EXPECT_LE(*found.suggested, *found.steepest);
  EXPECT_THAT(*found.diverges_above, ::testing::AllOf(::testing::Gt(0.02), ::testing::Lt(0.3)));
}

TEST(LrRange, SuggestsNothingWhereNothingIsLearned) {
  const auto rates = lr_ladder(1e-6, 1e-4, 30);
  EXPECT_FALSE(judge_lr_range(rates, std::vector<double>(30, 0.7)).suggested);
  EXPECT_FALSE(judge_lr_range({}, {}).suggested);
}

TEST(LrRange, AnInfiniteLossIsTheEnd) {
  const auto rates = lr_ladder(1e-4, 1, 20);
  auto losses = textbook(rates, 1e-3, 1e9);
  losses[15] = std::nan("");
  EXPECT_EQ(judge_lr_range(rates, losses).diverges_above, rates[15]);
  EXPECT_TRUE(lr_range_is_over({1.0, 0.5, std::nan("")}));
  EXPECT_FALSE(lr_range_is_over({1.0, 0.5, 0.6}));
  EXPECT_TRUE(lr_range_is_over({1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 30.0}));
}

}  // namespace
}  // namespace unnoise
