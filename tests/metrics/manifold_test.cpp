// Precision, recall, density, coverage and the check for copies.
#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/metrics/gaussians.h"
#include "unnoise/core/error.h"
#include "unnoise/metrics/copying.h"
#include "unnoise/metrics/density_coverage.h"
#include "unnoise/metrics/nearest.h"
#include "unnoise/metrics/precision_recall.h"

namespace unnoise {
namespace {

Tensor on_a_line(const std::vector<double>& places) {
  return at::tensor(places, at::kDouble).view({static_cast<int64_t>(places.size()), 1});
}

TEST(PrecisionRecall, OfPointsOnALine) {
  // Balls of real {0, 1, 3} to their nearest: radii 1, 1, 2. Balls of drawn {0.5, 10, 11}: radii 9.5, 1, 1.
  const auto found = precision_recall(on_a_line({0, 1, 3}), on_a_line({0.5, 10, 11}), 1);
  EXPECT_DOUBLE_EQ(found.precision(), 1.0 / 3);  // only 0.5 is in a real ball
  EXPECT_DOUBLE_EQ(found.recall(), 1.0);         // 0.5's ball reaches from -9 to 10
}

TEST(PrecisionRecall, OfASetWithItselfIsOne) {
  const Tensor x = standard(100, 4, 1);
  const auto found = precision_recall(x, x);
  EXPECT_EQ(found.precision(), 1);
  EXPECT_EQ(found.recall(), 1);
}

TEST(PrecisionRecall, TellsLostModesFromNoise) {
  const Tensor real = at::cat({standard(200, 2, 1), standard(200, 2, 2) + 50});
  const auto one_mode = precision_recall(real, standard(400, 2, 3));
  EXPECT_GT(one_mode.precision(), 0.9);
  EXPECT_LT(one_mode.recall(), 0.6);
  const auto noise = precision_recall(real, (standard(400, 2, 4)) * 40);
  EXPECT_LT(noise.precision(), 0.2);
}

TEST(DensityCoverage, OfPointsOnALine) {
  // Balls of real {0, 1, 3} to their nearest: [-1,1], [0,2], [1,5].
  const auto found = density_coverage(on_a_line({0, 1, 3}), on_a_line({0.5, 0.6, 9}), 1);
  EXPECT_DOUBLE_EQ(found.density(), (2 + 2 + 0) / 3.0);
  EXPECT_DOUBLE_EQ(found.coverage(), 2.0 / 3);
}

TEST(DensityCoverage, OfTheRealDistributionIsWhatThePaperSays) {
  // Naeem et al. 2020, lemmas 1 and 2: E[density] = 1, E[coverage] = 1 - 2^-k for large N = M.
  const auto found = density_coverage(standard(1500, 3, 1), standard(1500, 3, 2), 5);
  EXPECT_NEAR(found.density(), 1, 0.1);  // neighbouring samples share balls: about 3 / sqrt(1500 / 5)
  EXPECT_NEAR(found.coverage(), 1 - std::pow(2, -5), 0.02);
}

/// The scores of `queries` among the rows of `training`.
Tensor scores(const Tensor& queries, const Tensor& training) {
  return copy_scores(nearest_neighbours(queries, training, kCopyNeighbours).distances);
}

TEST(Copying, AMemorisedSetIsFlaggedAFreshOneIsNot) {
  const Tensor training = standard(1000, 20, 1), unseen = scores(standard(1000, 20, 2), training);
  const CopyCheck fresh = check_copying(scores(standard(500, 20, 3), training), unseen);
  EXPECT_FALSE(fresh.copies());
  EXPECT_LT(fresh.flagged, 0.03);  // 1 % expected, deviation 0.5 %
  EXPECT_LT(std::abs(fresh.rank_z), 4);

  const Tensor copied = training.narrow(0, 0, 500) + 0.05 * standard(500, 20, 4);
  const CopyCheck memorised = check_copying(scores(copied, training), unseen);
  EXPECT_TRUE(memorised.copies());
  EXPECT_GT(memorised.flagged, 0.99);
  EXPECT_GT(memorised.rank_z, 10);
}

TEST(Copying, AFewCopiesAmongFreshPicturesAreFlagged) {
  const Tensor training = standard(1000, 20, 1), unseen = scores(standard(1000, 20, 2), training);
  const Tensor drawn = at::cat({standard(470, 20, 3), training.narrow(0, 0, 30)});
  const CopyCheck check = check_copying(scores(drawn, training), unseen);
  EXPECT_TRUE(check.copies());
  EXPECT_GE(check.flagged, 0.06);
}

TEST(Copying, SmoothPicturesAreNotBlamed) {
  // Near to everything, as blurred pictures are in pixels: the bare distance to the nearest is smaller than any unseen
  // picture's, the score is not.
  const Tensor training = standard(1000, 20, 1), real = standard(1000, 20, 2), blurred = standard(500, 20, 3) * 0.3;
  const auto nearest = [&](const Tensor& x) { return nearest_neighbours(x, training, 1).distances; };
  EXPECT_LT(nearest(blurred).median().item<double>(), nearest(real).quantile(0.05).item<double>());
  EXPECT_FALSE(check_copying(scores(blurred, training), scores(real, training)).copies());
}

TEST(Copying, ScoresAreZeroForACopyAndNeedUnseenPictures) {
  EXPECT_EQ(copy_scores(at::tensor({0.0, 1.0, 1.0}, at::kDouble).view({1, 3})).item<double>(), 0);
  EXPECT_EQ(copy_scores(at::tensor({0.0, 0.0, 0.0}, at::kDouble).view({1, 3})).item<double>(), 0);
  EXPECT_THROW(check_copying(standard(10, 1, 1).flatten(), standard(99, 1, 1).flatten()), Error);
}

}  // namespace
}  // namespace unnoise
