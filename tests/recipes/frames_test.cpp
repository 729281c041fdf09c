#include "unnoise/recipes/frames.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

using ::testing::ElementsAre;

Tensor flat(int64_t batch, double value) { return at::full({batch, 1, 4, 6}, value); }

/// A run whose x is `step / steps` and whose x0 is its negative; an adaptive one knows only the steps so far.
Frames run_of(int64_t steps, int64_t batch, bool adaptive = false, bool has_x0 = true) {
  Frames frames;
  for (int64_t step = 1; step <= steps; ++step) {
    const double value = static_cast<double>(step) / static_cast<double>(steps);
    const Tensor x = flat(batch, value), x0 = has_x0 ? flat(batch, -value) : Tensor();
    frames.add({0, step, adaptive ? step : steps, x, x0});
    frames.add({batch, step, adaptive ? step : steps, x, x0});  // a later batch is not shown
  }
  return frames;
}

TEST(Frames, ShowsTenStepsWithTheFirstAndTheLast) {
  const Frames frames = run_of(50, 1);
  EXPECT_THAT(frames.steps(), ElementsAre(1, 6, 12, 17, 23, 28, 34, 39, 45, 50));
  const Image sheet = sheet_of(frames.grid());
  EXPECT_EQ(sheet.width, 10 * (6 + 2) + 2);
  EXPECT_EQ(sheet.height, 2 * (4 + 2) + 2);
  EXPECT_EQ(sheet.row(2)[sheet.width - 4], 255);        // x = 1 after the last step
  EXPECT_EQ(sheet.row(2 + 4 + 2)[sheet.width - 4], 0);  // x0 = -1 below it
  EXPECT_EQ(sheet.row(2)[2], 130);                      // x = 1/50 after the first
  EXPECT_EQ(frames.grid().columns[1], "step 6");
  EXPECT_THAT(run_of(3, 1).steps(), ElementsAre(1, 2, 3));
  EXPECT_THAT(run_of(1, 1).steps(), ElementsAre(1));
}

TEST(Frames, HoldsAPairOfRowsForAtMostFourPictures) {
  EXPECT_EQ(sheet_of(run_of(20, 9).grid()).height, 8 * (4 + 2) + 2);
  EXPECT_EQ(sheet_of(run_of(20, 3).grid()).height, 6 * (4 + 2) + 2);
  EXPECT_EQ(sheet_of(run_of(20, 3, false, false).grid()).height, 3 * (4 + 2) + 2);
}

TEST(Frames, AnAdaptiveRunKeepsItsEndsInBoundedMemory) {
  for (const int64_t steps : {7, 64, 65, 500}) {
    const auto shown = run_of(steps, 1, true).steps();
    EXPECT_EQ(shown.front(), 1);
    EXPECT_EQ(shown.back(), steps);
    EXPECT_EQ(shown.size(), static_cast<size_t>(std::min<int64_t>(steps, 10)));
  }
}

TEST(Frames, NoiseOfAnySizeLooksLikeNoise) {
  Rng rng(0);
  const Tensor noise = rng.normal({2, 3, 16, 16});
  EXPECT_TRUE((to_unit_spread(noise * 100) - to_unit_spread(noise * 10)).abs().max().item<double>() < 1e-5);
  EXPECT_NEAR((to_unit_spread(noise * 100)).std(false).item<double>(), 1, 0.01);
  const Tensor picture = noise.clamp(-1, 1) * 0.5;
  EXPECT_TRUE(to_unit_spread(picture).equal(picture));
}

TEST(Frames, NothingToShowIsAnError) { EXPECT_THROW(Frames().grid(), Error); }

}  // namespace
}  // namespace unnoise
