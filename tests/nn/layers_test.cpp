#include "unnoise/nn/layers.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unnoise/core/error.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

TEST(Layers, DrawWeightThenBiasFromOneStream) {
  Rng rng(0), same(0);
  const Linear linear({4, 3}, &rng);
  // torch: bound of the weights is 1/sqrt(fan_in) for a = sqrt(5), as is the bias's
  const Tensor weight = same.uniform({3, 4}).sub(0.5);
  const Tensor bias = same.uniform({3}).sub(0.5);
  EXPECT_LT(linear.weight().detach().sub(weight).abs().max().item<double>(), 1e-6);  // 2 * 0.5 / sqrt(4) = 0.5 wide
  EXPECT_LT(linear.bias().detach().sub(bias).abs().max().item<double>(), 1e-6);
}

TEST(Layers, WithoutBiasDrawNone) {
  Rng rng(0);
  const Linear linear({4, 3, false}, &rng);
  EXPECT_EQ(linear.named_parameters().size(), 1u);
  EXPECT_EQ(linear.describe(), "Linear(4, 3, bias=false)");
}

TEST(Layers, GroupNormNeedsGroupsThatDivide) {
  EXPECT_NO_THROW(GroupNorm({.groups = 4, .channels = 8}));
  try {
    GroupNorm({.groups = 3, .channels = 8});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "group norm: 3 groups do not divide 8 channels");
  }
}

TEST(Layers, EmbeddingNamesAnIndexOutsideOfIt) {
  Rng rng(0);
  const Embedding table(10, 4, &rng);
  EXPECT_EQ(table(at::arange(10), "class_labels").sizes(), (Shape{10, 4}));
  try {
    table(at::arange(11), "class_labels");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "class_labels: expected 0 to 9, found 10");
  }
}

TEST(Dropout, DrawsOnlyInTrainingAndOnlyFromItsStream) {
  Dropout dropout(0.5);
  const Tensor x = at::ones({1000});
  EXPECT_TRUE(at::equal(dropout(x), x));
  dropout.train();
  EXPECT_THROW(dropout(x), Error);  // no stream

  Rng rng(3), again(3);
  set_dropout_rng(dropout, &rng);
  const Tensor first = dropout(x);
  set_dropout_rng(dropout, &again);
  EXPECT_TRUE(at::equal(dropout(x), first));
  const double mean = first.mean().item<double>();
  EXPECT_NEAR(mean, 1, 0.15);                                 // 1000 coins: deviation 0.032
  EXPECT_TRUE(at::equal(first.mul(first.sub(2)), x.sub(1)));  // 0 or 2
}

TEST(Trace, CountsWhatALayerDid) {
  Rng rng(0);
  const Conv2d conv({.in_channels = 2, .out_channels = 4, .kernel_size = 3, .padding = 1}, &rng);
  const Linear unused({4, 3}, &rng);
  conv(at::ones({1, 2, 5, 6}));
  const Trace trace;
  conv(at::ones({1, 2, 5, 6}));
  ASSERT_NE(trace.find(conv), nullptr);
  EXPECT_EQ(trace.find(conv)->output, (Shape{1, 4, 5, 6}));
  EXPECT_EQ(trace.find(conv)->multiply_adds, 4 * 5 * 6 * 2 * 9);
  EXPECT_EQ(trace.find(unused), nullptr);
}

}  // namespace
}  // namespace unnoise
