#include "unnoise/training/augment.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

Tensor pictures() { return Rng(1).uniform({256, 1, 8, 8}); }

TEST(Augment, LeavesThePicturesAloneWithProbabilityZero) {
  Rng rng(0);
  const Augmented same = augment(pictures(), 0, rng);
  EXPECT_TRUE(same.x0.equal(pictures()));
  EXPECT_TRUE(same.labels.equal(at::zeros({256, kAugmentLabels})));
}

// Sampling tells the network 0: that has to mean the picture as it was.
TEST(Augment, ChangesExactlyThePicturesWhoseLabelsSaySo) {
  Rng rng(0);
  const Augmented some = augment(pictures(), 0.12, rng);
  const Tensor told = (some.labels != 0).any(1), changed = (some.x0 != pictures()).flatten(1).any(1);
  EXPECT_TRUE(told.equal(changed));
  // 6 changes: 1 - 0.88^6 = 0.54 of the pictures, within 4 sigma of 256.
  EXPECT_NEAR(told.to(at::kDouble).mean().item<double>(), 0.54, 0.13);
}

// A picture that was only mirrored is the mirrored picture, to float32 rounding of the grid.
TEST(Augment, MirrorsAsItsLabelsSay) {
  Rng rng(0);
  const Tensor before = pictures();
  const Augmented some = augment(before, 0.3, rng);
  int found = 0;
  for (int64_t i = 0; i < before.size(0); ++i) {
    const Tensor label = some.labels[i];
    const bool x = label[0].item<float>() == 1, y = label[1].item<float>() == 1;
    if ((!x && !y) || (label.narrow(0, 2, kAugmentLabels - 2) != 0).any().item<bool>()) continue;
    std::vector<int64_t> flipped;
    if (y) flipped.push_back(1);
    if (x) flipped.push_back(2);
    EXPECT_LE((some.x0[i] - before[i].flip(flipped)).abs().max().item<double>(), 1e-5);
    ++found;
  }
  EXPECT_GT(found, 10);
}

TEST(Augment, MovesAsItsLabelsSay) {
  Rng rng(2);
  // A slope of 1 a pixel in x: away from the edges a shift of s pictures takes 8 s from each value.
  const Tensor slope = at::arange(8, at::kFloat).reshape({1, 1, 1, 8}).expand({400, 1, 8, 8}).contiguous();
  const Augmented some = augment(slope, 0.3, rng);
  int found = 0;
  for (int64_t i = 0; i < slope.size(0); ++i) {
    const Tensor label = some.labels[i];
    const double shift = 8 * 0.125 * label[7].item<double>();  // pixels
    if (shift == 0 || std::abs(shift) > 2 || (label.narrow(0, 0, 7) != 0).any().item<bool>()) continue;
    const Tensor middle = some.x0[i].narrow(2, 3, 2) - slope[i].narrow(2, 3, 2);
    EXPECT_LE((middle.abs() - std::abs(shift)).abs().max().item<double>(), 1e-4);
    ++found;
  }
  EXPECT_GT(found, 3);
}

TEST(Augment, LabelsLieInTheFirstChannelsOfTheEmbedding) {
  Rng rng(0);
  const Tensor labels = augment(pictures(), 0.5, rng).labels, embedding = augment_embedding(labels, 32);
  EXPECT_TRUE(embedding.narrow(1, 0, kAugmentLabels).equal(labels));
  EXPECT_FALSE(embedding.narrow(1, kAugmentLabels, 32 - kAugmentLabels).any().item<bool>());
  EXPECT_THROW(augment_embedding(labels, 8), Error);
  EXPECT_THROW(augment(pictures(), 1.5, rng), Error);
}

}  // namespace
}  // namespace unnoise
