#include "unnoise/nn/group_norm.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/nn/scopes.h"
#include "tests/nn/slices.h"
#include "unnoise/core/error.h"
#include "unnoise/nn/checkpoint.h"
#include "unnoise/nn/layers.h"

namespace unnoise {
namespace {

struct NormLayer {
  GroupNorm norm{{.groups = 4, .channels = 24}};
  Tensor x = Rng(3).normal({3, 24, 5, 7}).mul_(2).add_(1);

  NormLayer() {
    Rng rng(4);
    for (Tensor parameter : norm.parameters()) {
      parameter.set_requires_grad(false);
      parameter.add_(rng.normal(parameter.sizes().vec()), 0.3);
      parameter.set_requires_grad(true);
    }
    x.set_requires_grad(true);
  }
  Tensor operator()(bool silu) const { return silu ? norm.with_silu(x) : norm(x); }

  /// y, then the gradients of x, weight and bias.
  std::vector<Tensor> results(Kernels choice, bool silu) const {
    const ChosenKernels chosen(choice);
    const Tensor y = (*this)(silu);
    auto all =
        torch::autograd::grad({(y * at::arange(y.numel()).view_as(y).sin()).sum()}, {x, norm.weight(), norm.bias()});
    all.insert(all.begin(), y.detach());
    return all;
  }
};

TEST(GroupNormLayer, AgreesWithThePlainPath) {
  for (const bool silu : {false, true}) {
    NormLayer layer;
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      layer.x = layer.x.detach().contiguous(format).set_requires_grad(true);
      const auto fast = layer.results(Kernels::fast, silu), plain = layer.results(Kernels::plain, silu);
      EXPECT_TRUE(fast[0].is_contiguous(at::MemoryFormat::ChannelsLast));
      for (size_t i = 0; i < plain.size(); ++i) {
        EXPECT_EQ(fast[i].scalar_type(), at::kFloat);
        EXPECT_LT(relative_difference(fast[i], plain[i]), 3e-6) << i << " silu " << silu;  // a few roundings
      }
    }
  }
}

TEST(GroupNormLayer, GivesTheSameWithoutAGraph) {
  const NormLayer layer;
  const Tensor y = layer(true);
  EXPECT_TRUE(y.requires_grad());
  const at::NoGradGuard no_grad;
  const Tensor same = layer(true);
  EXPECT_FALSE(same.requires_grad());
  EXPECT_TRUE(at::equal(y, same));
}

TEST(GroupNormLayer, DifferentiatesOneInputAlone) {
  NormLayer layer;
  const auto all = layer.results(Kernels::fast, true);
  const auto gradient = [&](const Tensor& wanted) {
    const Tensor y = layer(true);
    return torch::autograd::grad({(y * at::arange(y.numel()).view_as(y).sin()).sum()}, {wanted})[0];
  };
  EXPECT_TRUE(at::equal(gradient(layer.x), all[1]));
  EXPECT_TRUE(at::equal(gradient(layer.norm.weight()), all[2]));
  EXPECT_TRUE(at::equal(gradient(layer.norm.bias()), all[3]));
  for (Tensor parameter : layer.norm.parameters()) parameter.set_requires_grad(false);
  EXPECT_TRUE(at::equal(gradient(layer.x), all[1]));
}

TEST(GroupNormLayer, TakesPartInCheckpoints) {
  const NormLayer layer;
  const auto gradients = [&](const Tensor& y) {
    return torch::autograd::grad({y.square().sum()}, {layer.x, layer.norm.weight(), layer.norm.bias()});
  };
  const auto direct = gradients(layer(true));
  const auto again = gradients(checkpoint([&](const auto& in) { return layer.norm.with_silu(in[0]); }, {layer.x},
                                          layer.norm.parameters(), nullptr));
  for (size_t i = 0; i < direct.size(); ++i) EXPECT_TRUE(at::equal(direct[i], again[i])) << i;
}

TEST(GroupNormLayer, GivesBfloat16UnderAutocast) {
  const NormLayer layer;
  const auto expected = layer.results(Kernels::plain, true);
  const Autocast autocast;
  const auto fast = layer.results(Kernels::fast, true);
  EXPECT_EQ(fast[0].scalar_type(), at::kBFloat16);
  for (size_t i = 0; i < fast.size(); ++i) {
    if (i > 0) {
      EXPECT_EQ(fast[i].scalar_type(), at::kFloat);  // as x and the parameters
    }
    EXPECT_LT(relative_difference(fast[i].to(at::kFloat), expected[i]), 0.02) << i;  // bfloat16 has 8 bits
  }
}

TEST(GroupNormLayer, LeavesOtherTensorsToThePlainPath) {
  const NormLayer layer;
  const ChosenKernels chosen(Kernels::fast);
  EXPECT_EQ(layer.norm(layer.x.to(at::kDouble).flatten(2).to(at::kFloat)).dim(), 3);
  EXPECT_THROW(layer.norm(at::zeros({1, 23, 2, 2})), std::exception);
  EXPECT_EQ(layer.norm(at::zeros({0, 24, 2, 2})).size(0), 0);
}

TEST(GroupNormLayer, SaysThatItHasNoSecondDerivative) {
  const NormLayer layer;
  const ChosenKernels chosen(Kernels::fast);
  const Tensor y = layer(true);
  EXPECT_THROW(torch::autograd::grad({y.sum()}, {layer.x}, {}, true, /*create_graph=*/true), Error);
}

}  // namespace
}  // namespace unnoise
