#include "unnoise/recipes/quality.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

/// Grey pictures of 3x3 pixels, independent normal numbers: Gaussian features, as the pixels are the features.
PictureSet gaussian_pictures(int64_t n, double mean, double deviation, uint64_t seed) {
  const Tensor x = Rng(seed).normal({n, 1, 3, 3}) * deviation + mean;
  return {x.round().clamp(0, 255).to(at::kByte), {}};
}

/// The share of the intervals that hold the mean of all values.
double share_that_holds_the_mean(const std::vector<Estimate>& all) {
  const auto n = static_cast<double>(all.size());
  double mean = 0, held = 0;
  for (const Estimate& e : all) mean += e.value / n;
  for (const Estimate& e : all) held += e.low <= mean && mean <= e.high ? 1 / n : 0;
  return held;
}

// 100 draws from one distribution beside the same reference: docs/quality.md, "Between".
TEST(QualityIntervals, HoldWhatOtherDrawsGive) {
  const std::shared_ptr<const FeatureNetwork> network = load_feature_network("pixels");
  const QualityReference reference({.training = gaussian_pictures(200, 128, 30, 1)}, network,
                                   {.metrics = {Metric::pr, Metric::dc}}, {}, {});
  std::map<std::string, std::vector<Estimate>> all;
  for (uint64_t draw = 0; draw < 100; ++draw) {
    const auto q = measure_quality(gaussian_pictures(200, 135, 34, 100 + draw), reference, {}, {});
    all["precision"].push_back(*q->precision);
    all["recall"].push_back(*q->recall);
    all["density"].push_back(*q->density);
    all["coverage"].push_back(*q->coverage);
  }
  // Of drawn pictures, which are independent of each other: 95 %, with a standard deviation of 2 % over 100 draws.
  EXPECT_GE(share_that_holds_the_mean(all["precision"]), 0.89);
  EXPECT_GE(share_that_holds_the_mean(all["density"]), 0.89);
  // Of real pictures, neighbours among which share what was drawn near them: about 90 %.
  EXPECT_GE(share_that_holds_the_mean(all["recall"]), 0.82);
  EXPECT_GE(share_that_holds_the_mean(all["coverage"]), 0.82);
  for (const auto& [name, estimates] : all)  // nor are they so wide that they say nothing
    for (const Estimate& e : estimates) EXPECT_LT(e.high - e.low, 0.25) << name;
}

TEST(QualityIntervals, AShareOfAllIsNoPoint) {
  const std::shared_ptr<const FeatureNetwork> network = load_feature_network("pixels");
  const PictureSet pictures = gaussian_pictures(100, 128, 30, 1);
  const QualityReference reference({.training = pictures}, network, {.metrics = {Metric::pr, Metric::dc}}, {}, {});
  const auto q = measure_quality(pictures, reference, {}, {});
  for (const auto& share : {q->precision, q->recall, q->coverage}) {
    EXPECT_EQ(share->value, 1);
    EXPECT_EQ(share->high, 1);
    EXPECT_NEAR(share->low, 0.963, 1e-3);  // Wilson's, of 100
  }
}

}  // namespace
}  // namespace unnoise
