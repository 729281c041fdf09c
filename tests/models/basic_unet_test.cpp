#include "unnoise/models/basic_unet.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "tests/nn/scopes.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

/// Its layers, one after the other, with the maps of the way down times `skip`.
Tensor basic_unet_by_hand(const StateDict& state, const Tensor& x, double skip) {
  const auto layer = [&](size_t i, const Tensor& h) {
    return at::silu(at::conv2d(h, state[2 * i].second, state[2 * i + 1].second, {1, 1}, {2, 2}));
  };
  const auto pool = [](const Tensor& h) { return at::max_pool2d(h, {2, 2}); };
  const auto grow = [](const Tensor& h) { return at::upsample_nearest2d(h, {2 * h.size(2), 2 * h.size(3)}); };
  const Tensor a = layer(0, x), b = layer(1, pool(a)), c = layer(2, pool(b));
  return layer(5, grow(layer(4, grow(layer(3, c)) + skip * b)) + skip * a);
}

double basic_unet_error(const Tensor& a, const Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

TEST(BasicUNet, HasThePublishedSizeAndKeys) {
  const BasicUNet net({}, nullptr);
  EXPECT_EQ(net.num_parameters(), 309057);
  const StateDict state = net.state();
  EXPECT_EQ(state.front().first, "down_layers.0.weight");
  EXPECT_EQ(state.back().first, "up_layers.2.bias");
}

TEST(BasicUNet, IsItsLayersWithTheSkipsAdded) {
  Rng rng(0);
  BasicUNet net({}, &rng);
  const Tensor x = rng.uniform({3, 1, 28, 28});
  for (const Kernels kernels : {Kernels::fast, Kernels::plain}) {
    const ChosenKernels chosen(kernels);
    const c10::NoGradGuard no_grad;
    const Tensor y = net(x);
    EXPECT_EQ(y.sizes(), x.sizes());
    // float32 sums of 1600 products in another order
    EXPECT_LT(basic_unet_error(y, basic_unet_by_hand(net.state(), x, 1)), 1e-5);
    EXPECT_GT(basic_unet_error(y, basic_unet_by_hand(net.state(), x, 0)), 1e-2) << "the skips do nothing";
  }
}

TEST(BasicUNet, TheKernelsGiveTheGradientsOfTheOperators) {
  Rng rng(0);
  BasicUNet net({}, &rng);
  net.requires_grad(true);
  const Tensor x = rng.uniform({2, 1, 12, 20}), target = rng.uniform({2, 1, 12, 20});
  std::vector<Tensor> gradients[2];
  for (const Kernels kernels : {Kernels::fast, Kernels::plain}) {
    const ChosenKernels chosen(kernels);
    for (Tensor p : net.parameters()) p.mutable_grad() = Tensor();
    at::mse_loss(net(x), target).backward();
    for (const Tensor& p : net.parameters()) gradients[kernels == Kernels::plain].push_back(p.grad().clone());
  }
  for (size_t i = 0; i < gradients[0].size(); ++i)
    EXPECT_LT(basic_unet_error(gradients[0][i], gradients[1][i]), 1e-4) << i;  // sums over all pixels, in another order
}

TEST(BasicUNet, SaysWhichSizesFit) {
  Rng rng(0);
  const BasicUNet net({.in_channels = 3, .out_channels = 3}, &rng);
  EXPECT_EQ(net(rng.uniform({1, 3, 4, 8})).sizes(), (Shape{1, 3, 4, 8}));
  for (const Shape& wrong : {Shape{1, 3, 30, 28}, Shape{1, 1, 28, 28}, Shape{3, 28, 28}, Shape{1, 3, 0, 4}}) {
    try {
      net(at::empty(wrong));
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::usage);
      EXPECT_NE(e.hint().find("multiples of 4"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace unnoise
