#include "unnoise/nn/attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "tests/nn/scopes.h"
#include "tests/nn/slices.h"
#include "unnoise/core/error.h"
#include "unnoise/nn/checkpoint.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

struct Layer {
  Rng init{1};
  Attention attention;
  Tensor x;

  explicit Layer(const AttentionOptions& options = {.channels = 32, .head_dim = 8, .norm_groups = 4})
      : attention(options, &init), x(Rng(3).normal({3, options.channels, 5, 7}).mul_(2).add_(1)) {
    for (Tensor parameter : attention.parameters()) parameter.set_requires_grad(true);
    x.set_requires_grad(true);
  }

  /// Of x and the parameters.
  std::vector<Tensor> gradients(const Tensor& y) const {
    std::vector<Tensor> wanted = attention.parameters();
    wanted.insert(wanted.begin(), x);
    return torch::autograd::grad({(y * at::arange(y.numel()).view_as(y).sin()).sum()}, wanted);
  }
  /// y, then the gradients.
  std::vector<Tensor> results(Kernels choice) const {
    const ChosenKernels chosen(choice);
    const Tensor y = attention(x);
    auto all = gradients(y);
    all.insert(all.begin(), y.detach());
    return all;
  }
};

TEST(AttentionLayer, AgreesWithThePlainPath) {
  for (const AttentionOptions& options :
       {AttentionOptions{.channels = 32, .head_dim = 8, .norm_groups = 4},
        AttentionOptions{.channels = 20, .head_dim = 20},
        AttentionOptions{.channels = 24, .head_dim = 5, .norm_groups = 3, .output_scale_factor = 2}}) {
    Layer layer(options);
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      layer.x = layer.x.detach().contiguous(format).set_requires_grad(true);
      const auto fast = layer.results(Kernels::fast), plain = layer.results(Kernels::plain);
      EXPECT_TRUE(fast[0].is_contiguous(at::MemoryFormat::ChannelsLast));
      for (size_t i = 0; i < plain.size(); ++i) {
        EXPECT_EQ(fast[i].scalar_type(), at::kFloat);
        // A few roundings of sums that largely cancel (the keys' bias has no effect: its gradient is rounding alone).
        const double scale = std::max(1.0, plain[i].abs().max().item<double>());
        EXPECT_LT((fast[i] - plain[i]).abs().max().item<double>(), 2e-5 * scale) << i;
      }
    }
  }
}

TEST(AttentionLayer, GivesTheSameWithoutAGraph) {
  const Layer layer;
  const ChosenKernels chosen(Kernels::fast);
  const Tensor y = layer.attention(layer.x);
  const at::NoGradGuard no_grad;
  const Tensor same = layer.attention(layer.x);
  EXPECT_FALSE(same.requires_grad());
  EXPECT_LT(relative_difference(same, y), 1e-6);  // the projections are three products here
}

TEST(AttentionLayer, DifferentiatesTheInputAlone) {
  const Layer layer;
  const ChosenKernels chosen(Kernels::fast);
  const Tensor expected = layer.gradients(layer.attention(layer.x))[0];
  for (Tensor parameter : layer.attention.parameters()) parameter.set_requires_grad(false);
  const Tensor y = layer.attention(layer.x);
  const Tensor dx = torch::autograd::grad({(y * at::arange(y.numel()).view_as(y).sin()).sum()}, {layer.x})[0];
  EXPECT_LT(relative_difference(dx, expected), 1e-6);
}

TEST(AttentionLayer, TakesPartInCheckpointsAndTraces) {
  const Layer layer;
  const ChosenKernels chosen(Kernels::fast);
  const auto direct = layer.gradients(layer.attention(layer.x));
  const auto f = [&](const auto& in) { return layer.attention(in[0]); };
  const auto again = layer.gradients(checkpoint(f, {layer.x}, layer.attention.parameters(), nullptr));
  for (size_t i = 0; i < direct.size(); ++i) EXPECT_TRUE(at::equal(direct[i], again[i])) << i;
  const Trace trace;
  const auto traced = layer.gradients(layer.attention(layer.x));
  for (const auto& [name, child] : layer.attention.children())
    if (name != "to_out") EXPECT_NE(trace.find(*child), nullptr) << name;
  EXPECT_LT(relative_difference(traced[0], direct[0]), 1e-5);
}

TEST(AttentionLayer, GivesBfloat16UnderAutocast) {
  Layer layer;
  const auto expected = layer.results(Kernels::plain);
  layer.x = layer.x.detach().to(at::kBFloat16).set_requires_grad(true);
  const Autocast autocast;
  const auto fast = layer.results(Kernels::fast);
  EXPECT_EQ(fast[0].scalar_type(), at::kBFloat16);
  for (const size_t i : {0, 1})
    EXPECT_LT(relative_difference(fast[i].to(at::kFloat), expected[i]), 0.03) << i;  // bfloat16 has 8 bits
}

TEST(AttentionLayer, SaysThatItHasNoSecondDerivative) {
  const Layer layer;
  const ChosenKernels chosen(Kernels::fast);
  const Tensor y = layer.attention(layer.x);
  EXPECT_THROW(torch::autograd::grad({y.sum()}, {layer.x}, {}, true, /*create_graph=*/true), Error);
}

}  // namespace
}  // namespace unnoise
