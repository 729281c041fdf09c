#include "unnoise/training/augment.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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

using Matrix = std::array<std::array<double, 3>, 3>;

Matrix operator*(const Matrix& a, const Matrix& b) {
  Matrix out{};
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < 3; ++j)
      for (size_t k = 0; k < 3; ++k) out[i][j] += a[i][k] * b[k][j];
  return out;
}
Matrix scale_by(double x, double y) { return {{{x, 0, 0}, {0, y, 0}, {0, 0, 1}}}; }
Matrix turn_by(double angle) {
  return {{{std::cos(angle), -std::sin(angle), 0}, {std::sin(angle), std::cos(angle), 0}, {0, 0, 1}}};
}

/// Where the labels say that a point of the changed picture came from: Karras et al. 2022, appendix F.2, table 6:
/// mirror, scale, turn against the clock, stretch along a direction, move; here backwards. y points down, lengths are
/// half pictures. `sign`: labels name a stretch w along r, and -w along r + pi, by the same two numbers.
Matrix origin(const Tensor& labels, double sign) {
  const auto l = [&](int64_t i) { return labels[i].item<double>(); };
  const double grown = std::exp2(0.2 * l(2)), angle = std::atan2(l(4), 1 + l(3));
  const double stretched = std::exp2(sign * 0.2 * std::hypot(l(5), l(6))), direction = std::atan2(l(6), l(5));
  const Matrix move_back{{{1, 0, -2 * 0.125 * l(7)}, {0, 1, -2 * 0.125 * l(8)}, {0, 0, 1}}};
  return scale_by(1 - 2 * l(0), 1 - 2 * l(1)) * scale_by(1 / grown, 1 / grown) * turn_by(angle) *
         (turn_by(-direction) * scale_by(1 / stretched, stretched) * turn_by(direction)) * move_back;
}

// A picture of its own coordinates shows after the change where each pixel came from: all changes at once.
TEST(Augment, ScalesTurnsStretchesAndMovesAsItsLabelsSay) {
  constexpr int64_t kBatch = 300, kSize = 16;
  const Tensor along = (at::arange(kSize, at::kFloat) * 2 + 1) / kSize - 1;
  const Tensor coordinates = at::stack({along.reshape({1, -1}).expand({kSize, kSize}),  // x, y
                                        along.reshape({-1, 1}).expand({kSize, kSize})});
  Rng rng(2);
  const Augmented some = augment(coordinates.expand({kBatch, 2, kSize, kSize}).contiguous(), 0.5, rng);
  std::array<int, kAugmentLabels> seen{};
  int compared = 0;
  for (int64_t i = 0; i < kBatch; ++i) {
    for (int64_t k = 0; k < kAugmentLabels; ++k) seen[static_cast<size_t>(k)] += some.labels[i][k].item<double>() != 0;
    double smallest = 1;
    for (const double sign : {1.0, -1.0}) {
      const Matrix from = origin(some.labels[i], sign);
      double largest = 0;
      for (int64_t row = 0; row < kSize; row += 3)
        for (int64_t column = 0; column < kSize; column += 3) {
          const double x = along[column].item<double>(), y = along[row].item<double>();
          const double from_x = from[0][0] * x + from[0][1] * y + from[0][2];
          const double from_y = from[1][0] * x + from[1][1] * y + from[1][2];
          if (std::abs(from_x) > 0.9 || std::abs(from_y) > 0.9) continue;  // beyond the edge the picture is reflected
          largest = std::max({largest, std::abs(some.x0[i][0][row][column].item<double>() - from_x),
                              std::abs(some.x0[i][1][row][column].item<double>() - from_y)});
          ++compared;
        }
      smallest = std::min(smallest, largest);
    }
    EXPECT_LE(smallest, 1e-4) << some.labels[i];
  }
  for (const int count : seen) EXPECT_GT(count, 90);
  EXPECT_GT(compared, 5000);
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
