#include "unnoise/schedulers/x0_limits.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

TEST(X0Limits, ThresholdsEachPictureByItsOwnQuantile) {
  const Tensor loud = at::arange(0, 101, at::kFloat).reshape({1, 1, 1, 101}) / 50;  // 0 to 2
  const Tensor out = dynamic_threshold(at::cat({loud, loud / 4}), {true, 0.75, 10});
  // loud: s = 1.5, values above it saturate, the rest is divided by it; quiet: s would be 0.375 and is raised to 1
  EXPECT_FLOAT_EQ(out[0].max().item<float>(), 1.0f);
  EXPECT_FLOAT_EQ(out[0][0][0][30].item<float>(), 0.6f / 1.5f);
  EXPECT_TRUE(out[1].equal(loud[0] / 4));
}

TEST(X0Limits, TheLimitIsAtMostTheMaximum) {
  const Tensor x = at::full({1, 1, 2, 2}, 8.0f);
  EXPECT_FLOAT_EQ(dynamic_threshold(x, {true, 0.5, 2}).max().item<float>(), 1.0f);
  EXPECT_FLOAT_EQ(dynamic_threshold(x * 0.75 / 8, {true, 0.5, 0.5}).max().item<float>(),
                  1.0f);  // below 1: as diffusers
}

TEST(X0Limits, HalvesKeepTheirType) {
  const Tensor x = at::full({1, 1, 2, 2}, 3.0f).to(at::kHalf);
  EXPECT_EQ(dynamic_threshold(x, {true, 0.5, 4}).scalar_type(), at::kHalf);
}

TEST(X0Limits, PicturesAboveTheQuantilesSizeLimitWork) {
  EXPECT_NO_THROW(dynamic_threshold(at::zeros({3, 1, 2500, 2500}), {true, 0.995, 1}));  // 18.75 million numbers
}

TEST(X0Limits, ThresholdingWinsOverClipping) {
  const Tensor x = at::full({1, 1, 2, 2}, 3.0f);
  EXPECT_FLOAT_EQ(limit_x0(x, {true, 0.5}, {}).max().item<float>(), 0.5f);
  EXPECT_FLOAT_EQ(limit_x0(x, {true, 0.5}, {true, 0.9, 10}).max().item<float>(), 1.0f);
  EXPECT_FLOAT_EQ(limit_x0(x, {false, 0.5}, {}).max().item<float>(), 3.0f);
}

TEST(X0Limits, RefusesValuesOutOfRange) {
  EXPECT_THROW(check_limits({true, 0}, {}), Error);
  EXPECT_THROW(check_limits({}, {true, 1.1, 1}), Error);
  EXPECT_THROW(check_limits({}, {true, 0.9, -1}), Error);
}

}  // namespace
}  // namespace unnoise
