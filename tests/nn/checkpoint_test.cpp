#include "unnoise/nn/checkpoint.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "unnoise/nn/layers.h"

namespace unnoise {
namespace {

/// Two linear layers with dropout between them.
struct Net {
  Rng init{0};
  Linear first{{6, 8}, &init};
  Linear second{{8, 3}, &init};
  Dropout dropout{0.3};

  std::vector<Tensor> weights() const {
    std::vector<Tensor> all = first.parameters();
    for (const Tensor& t : second.parameters()) all.push_back(t);
    return all;
  }
  Tensor operator()(const Tensor& x) const { return second(dropout(first(x)).sigmoid()); }
};

std::vector<Tensor> gradients(bool checkpointed) {
  Net net;
  Rng noise(5), draws(1);
  net.dropout.train();
  net.dropout.set_rng(&noise);
  const Tensor x = draws.normal({4, 6}).set_requires_grad(true);
  const Tensor y =
      checkpointed ? checkpoint([&](const auto& in) { return net(in[0]); }, {x}, net.weights(), &noise) : net(x);
  const Tensor after = noise.uniform({1});  // what the stream goes on with
  std::vector<Tensor> wanted = net.weights();
  wanted.push_back(x);
  std::vector<Tensor> all = torch::autograd::grad({y.square().sum()}, wanted);
  all.push_back(y.detach());
  all.push_back(after);
  all.push_back(noise.uniform({1}));
  return all;
}

TEST(Checkpoint, GivesTheSameOutputGradientsAndStream) {
  const auto plain = gradients(false), recomputed = gradients(true);
  ASSERT_EQ(plain.size(), recomputed.size());
  for (size_t i = 0; i < plain.size(); ++i)
    EXPECT_TRUE(at::equal(plain[i], recomputed[i])) << i;  // the same operations
}

TEST(Checkpoint, LeavesInputsWithoutGradientsAlone) {
  Net net;
  const Tensor x = Rng(1).normal({4, 6});
  const Tensor y = checkpoint([&](const auto& in) { return net(in[0]); }, {x}, net.weights(), nullptr);
  y.sum().backward();
  EXPECT_FALSE(x.grad().defined());
  for (const Tensor& weight : net.weights()) EXPECT_TRUE(weight.grad().defined());
}

/// Gradients of the weights when the forward pass, and only that, runs under bfloat16 autocast.
std::vector<Tensor> autocast_gradients(bool checkpointed) {
  Net net;
  const Tensor x = Rng(1).normal({4, 6});
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const Tensor y =
      checkpointed ? checkpoint([&](const auto& in) { return net(in[0]); }, {x}, net.weights(), nullptr) : net(x);
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  return torch::autograd::grad({y.to(at::kFloat).square().sum()}, net.weights());
}

TEST(Checkpoint, RecomputesUnderTheSameAutocast) {
  const auto plain = autocast_gradients(false), recomputed = autocast_gradients(true);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(at::equal(plain[i], recomputed[i])) << i;
}

}  // namespace
}  // namespace unnoise
