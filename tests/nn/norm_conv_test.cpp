#include "unnoise/nn/norm_conv.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/nn/scopes.h"
#include "tests/nn/slices.h"
#include "unnoise/core/error.h"
#include "unnoise/nn/checkpoint.h"

namespace unnoise {
namespace {

Tensor weighted_sum(const Tensor& y) {
  return (y.to(at::kFloat) * (at::arange(y.numel()).view(y.sizes()).sin() + 1.5)).sum();
}

struct NormConv {
  Rng rng{6};
  GroupNorm norm{{.groups = 8, .channels = 32}};
  Conv2d conv{{.in_channels = 32, .out_channels = 48, .kernel_size = 3, .padding = 1}, &rng};
  Tensor x = rng.normal({2, 32, 9, 6}).add_(0.5);
  ConvSums sums{.image_bias = rng.normal({2, 48}), .residual = rng.normal({2, 48, 9, 6})};

  NormConv() {
    norm.requires_grad(false);
    for (Tensor parameter : norm.parameters()) parameter.add_(rng.normal(parameter.sizes().vec()), 0.3);
    norm.requires_grad(true);
    for (const Tensor& t : {x, sums.image_bias, sums.residual}) t.set_requires_grad(true);
  }
  std::vector<Tensor> inputs() const {
    std::vector<Tensor> all{x, norm.weight(), norm.bias(), conv.weight(), conv.bias()};
    for (const Tensor& t : {sums.image_bias, sums.residual})
      if (t.defined()) all.push_back(t);
    return all;
  }
  /// The output, then the gradients of `wanted`.
  std::vector<Tensor> results(const Tensor& y, const std::vector<Tensor>& wanted) const {
    auto all = torch::autograd::grad({weighted_sum(y)}, wanted);
    all.insert(all.begin(), y.detach());
    return all;
  }
};

void expect_alike(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_LT(relative_difference(actual[i].to(at::kFloat), expected[i].to(at::kFloat)), tolerance) << i;
}

TEST(NormConv, AgreesWithThePlainPath) {
  for (const bool has_image_bias : {true, false})
    for (const bool has_residual : {true, false}) {
      SCOPED_TRACE(testing::Message() << "image_bias " << has_image_bias << ", residual " << has_residual);
      NormConv some;
      if (!has_image_bias) some.sums.image_bias = Tensor();
      if (!has_residual) some.sums.residual = Tensor();
      const auto run = [&](Kernels choice) {
        const ChosenKernels chosen(choice);
        return some.results(norm_silu_conv(some.x, some.norm, some.conv, some.sums), some.inputs());
      };
      expect_alike(run(Kernels::fast), run(Kernels::plain), 1e-5);  // F(4,3)'s roundings, 1.6e-6 rms
    }
}

TEST(NormConv, IsTheTwoLayersAfterEachOther) {
  for (const bool bf16 : {false, true}) {
    const NormConv layer;
    std::optional<Autocast> autocast;
    if (bf16) autocast.emplace();
    const auto one = layer.results(norm_silu_conv(layer.x, layer.norm, layer.conv, layer.sums), layer.inputs());
    const auto two = layer.results(layer.conv(layer.norm.with_silu(layer.x), layer.sums), layer.inputs());
    for (size_t i = 0; i < two.size(); ++i) EXPECT_TRUE(at::equal(one[i], two[i])) << i << " bf16 " << bf16;
  }
}

TEST(NormConv, GivesTheGradientsThatAreAskedFor) {
  const NormConv layer;
  const auto all = layer.results(norm_silu_conv(layer.x, layer.norm, layer.conv, layer.sums), layer.inputs());
  for (size_t i = 0; i < layer.inputs().size(); ++i) {
    for (const Tensor& t : layer.inputs()) t.set_requires_grad(false);
    const Tensor wanted = layer.inputs()[i].set_requires_grad(true);
    const auto one = layer.results(norm_silu_conv(layer.x, layer.norm, layer.conv, layer.sums), {wanted});
    EXPECT_TRUE(at::equal(one[1], all[i + 1])) << i;
  }
}

TEST(NormConv, IsTheSameUnderCheckpointing) {
  const NormConv layer;
  const auto f = [&](const std::vector<Tensor>& in) {
    return norm_silu_conv(in[0], layer.norm, layer.conv, layer.sums);
  };
  const auto direct = layer.results(f({layer.x}), layer.inputs());
  auto weights = layer.inputs();
  weights.erase(weights.begin());
  const auto again = layer.results(checkpoint(f, {layer.x}, weights, nullptr), layer.inputs());
  for (size_t i = 0; i < direct.size(); ++i) EXPECT_TRUE(at::equal(direct[i], again[i])) << i;
}

TEST(NormConv, RefusesASecondDerivative) {
  const NormConv layer;
  const Tensor y = norm_silu_conv(layer.x, layer.norm, layer.conv, layer.sums);
  EXPECT_THROW(torch::autograd::grad({weighted_sum(y)}, {layer.x}, {}, true, /*create_graph=*/true), Error);
}

}  // namespace
}  // namespace unnoise
