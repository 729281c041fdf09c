#include "unnoise/training/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"
#include "unnoise/training/muon.h"

namespace unnoise {
namespace {

using enum OptimizerType;

Tensor parameter(Tensor values) { return values.set_requires_grad(true); }

void set_grad(const Tensor& p, const Tensor& grad) { p.mutable_grad() = grad; }

/// Three steps with made-up gradients.
void train(Optimizer& optimizer, const std::vector<Tensor>& parameters, uint64_t first) {
  for (uint64_t i = first; i < first + 3; ++i) {
    for (const Tensor& p : parameters) set_grad(p, p.detach().sin() * static_cast<double>(i + 1));
    optimizer.step();
    optimizer.zero_grad();
  }
}

// Kingma & Ba 2015: with a constant gradient every step is lr * g / (|g| + eps) = lr, whatever g is.
TEST(Optimizer, AdamStepsByTheLearningRate) {
  const Tensor p = parameter(at::zeros({3}));
  Optimizer optimizer({{"p", p}}, {.type = adam, .learning_rate = 0.01, .weight_decay = 0});
  for (int i = 0; i < 10; ++i) {
    set_grad(p, at::full({3}, 123.0));
    optimizer.step();
  }
  EXPECT_NEAR(p[0].item<double>(), -0.1, 1e-6);  // float32
}

TEST(Optimizer, AdamWDecaysTheWeightApartFromTheGradient) {
  const Tensor p = parameter(at::ones({1}));
  Optimizer optimizer({{"p", p}}, {.learning_rate = 0.1, .weight_decay = 0.5});
  set_grad(p, at::zeros({1}));
  optimizer.step();
  EXPECT_NEAR(p[0].item<double>(), 1.0 - 0.1 * 0.5, 1e-7);
}

TEST(Optimizer, SgdRollsOn) {
  const Tensor p = parameter(at::zeros({1}));
  Optimizer optimizer({{"p", p}}, {.type = sgd, .learning_rate = 0.1, .weight_decay = 0, .momentum = 0.5});
  for (int i = 0; i < 3; ++i) {
    set_grad(p, at::ones({1}));
    optimizer.step();
  }
  EXPECT_NEAR(p[0].item<double>(), -0.1 * (1 + 1.5 + 1.75), 1e-7);
}

TEST(Optimizer, FollowsTheLearningRateThatIsSet) {
  const Tensor p = parameter(at::zeros({1}));
  Optimizer optimizer({{"p", p}}, {.type = sgd, .weight_decay = 0, .momentum = 0});
  optimizer.set_learning_rate(0.0);
  set_grad(p, at::ones({1}));
  optimizer.step();
  EXPECT_EQ(p[0].item<double>(), 0.0);
  optimizer.set_learning_rate(0.25);
  optimizer.step();
  EXPECT_EQ(p[0].item<double>(), -0.25);
}

TEST(Optimizer, SkipsAParameterWithoutGradientAndLeavesFrozenOnesOut) {
  const Tensor used = parameter(at::ones({2})), unused = parameter(at::ones({2})), frozen = at::ones({2});
  Optimizer optimizer({{"used", used}, {"unused", unused}, {"frozen", frozen}}, {.weight_decay = 0.1});
  EXPECT_EQ(optimizer.parameters().size(), 2u);
  set_grad(used, at::ones({2}));
  optimizer.step();
  EXPECT_FALSE(used.equal(at::ones({2})));
  EXPECT_TRUE(unused.equal(at::ones({2})));
  EXPECT_EQ(optimizer.state()[0].first, "used.step");
  EXPECT_EQ(optimizer.state()[0].second.item<double>(), 1.0);
  EXPECT_EQ(optimizer.state()[3].first, "unused.step");
  EXPECT_EQ(optimizer.state()[3].second.item<double>(), 0.0);
}

TEST(Optimizer, AGradientLaidOutDifferentlyIsReadByIndex) {
  const Tensor a = parameter(at::zeros({4, 5})), b = parameter(at::zeros({4, 5}));
  const Tensor grad = at::randn({5, 4});
  for (const auto type : {adamw, adam, sgd, muon}) {
    Optimizer one({{"a", a}}, {.type = type}), two({{"b", b}}, {.type = type});
    set_grad(a, grad.t());
    set_grad(b, grad.t().contiguous());
    one.step();
    two.step();
    EXPECT_TRUE(a.equal(b));
  }
}

TEST(Optimizer, ResumesBitForBit) {
  for (const auto type : {adamw, adam, sgd, adamw8bit, muon}) {
    const OptimizerOptions options{.type = type, .learning_rate = 1e-2, .weight_decay = 1e-2};
    const Tensor a = parameter(at::randn({70, 60})), b = parameter(at::randn({7}));
    Optimizer first({{"a", a}, {"b", b}}, options);
    train(first, {a, b}, 0);

    const Tensor a2 = parameter(a.detach().clone()), b2 = parameter(b.detach().clone());
    Optimizer resumed({{"a", a2}, {"b", b2}}, options);
    resumed.load_state(first.state(), "checkpoint-3");
    train(first, {a, b}, 3);
    train(resumed, {a2, b2}, 3);
    EXPECT_TRUE(a.equal(a2) && b.equal(b2));
    for (size_t i = 0; i < first.state().size(); ++i)
      EXPECT_TRUE(first.state()[i].second.equal(resumed.state()[i].second)) << first.state()[i].first;
  }
}

// The largest tensors of a network are 8 bits, blocks and small tensors weigh little.
TEST(Optimizer, EightBitStateIsAQuarter) {
  const Tensor weight = parameter(at::randn({64, 64, 3, 3})), bias = parameter(at::randn({64}));
  const auto bytes = [&](OptimizerType type) {
    size_t sum = 0;
    for (const auto& [name, tensor] : Optimizer({{"weight", weight}, {"bias", bias}}, {.type = type}).state())
      sum += tensor.nbytes();
    return static_cast<double>(sum);
  };
  EXPECT_LT(bytes(adamw8bit), 0.26 * bytes(adamw));
}

TEST(Optimizer, MuonMovesAllDirectionsAlike) {
  Rng rng(1);
  for (const Shape& shape : {Shape{40, 24}, Shape{24, 40}}) {
    const Tensor u = orthogonalized(rng.normal(shape) * 1e-3);
    const Tensor singular = at::linalg_svdvals(u);
    EXPECT_GT(singular.min().item<double>(), 0.5);  // Jordan et al. 2024: about 0.7 to 1.2
    EXPECT_LT(singular.max().item<double>(), 1.25);
  }
  const Tensor matrix = at::zeros({4, 4, 3, 3});
  EXPECT_TRUE(muon_moves("down_blocks.0.resnets.0.conv1.weight", matrix));
  for (const char* name : {"conv_in.weight", "conv_out.weight", "class_embedding.weight"})
    EXPECT_FALSE(muon_moves(name, matrix)) << name;
  for (const Shape& vector : {Shape{4}, Shape{1, 4}, Shape{4, 1}})
    EXPECT_FALSE(muon_moves("linear", at::zeros(vector)));
}

TEST(Optimizer, RefusesAStateThatDoesNotFitAndKeepsItsOwn) {
  Optimizer optimizer({{"w", parameter(at::ones({2}))}}, {});
  const auto message = [&](const StateDict& state) -> std::string {
    try {
      optimizer.load_state(state, "checkpoint-4");
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::data);
      return e.message();
    }
    return "";
  };
  const Tensor step = at::full({}, 4.0), two = at::ones({2}), three = at::ones({3});
  EXPECT_EQ(message({}),
            "checkpoint-4: the optimizer's state does not fit: 3 missing: w.step, w.exp_avg, w.exp_avg_sq");
  EXPECT_THAT(message({{"w.step", step}, {"w.exp_avg", two}, {"w.exp_avg_sq", three}}),
              testing::HasSubstr("w.exp_avg_sq (expected Float [2], found Float [3])"));
  EXPECT_THAT(message({{"w.step", step}, {"w.exp_avg", two}, {"w.exp_avg_sq", two}, {"v.step", step}}),
              testing::HasSubstr("1 unexpected: v.step"));
  EXPECT_THAT(message({{"w.step", step}, {"w.exp_avg", two}, {"w.exp_avg_sq", two.to(at::kDouble)}}),
              testing::HasSubstr("found Double [2]"));
  EXPECT_EQ(optimizer.state()[0].second.item<double>(), 0.0);
}

TEST(Optimizer, RefusesValuesOutOfRange) {
  const StateDict one{{"w", parameter(at::ones({2}))}};
  EXPECT_THROW(Optimizer(one, {.learning_rate = -1}), Error);
  EXPECT_THROW(Optimizer(one, {.learning_rate = std::nan("")}), Error);
  EXPECT_THROW(Optimizer(one, {.beta1 = 1.0}), Error);
  EXPECT_THROW(Optimizer(one, {.beta2 = -0.1}), Error);
  EXPECT_THROW(Optimizer(one, {.epsilon = -1}), Error);
  EXPECT_THROW(Optimizer(one, {.weight_decay = -1}), Error);
  EXPECT_THROW(Optimizer(one, {.type = sgd, .momentum = 0, .nesterov = true}), Error);
  EXPECT_THROW(Optimizer({{"frozen", at::ones({2})}}, {}), Error);
}

TEST(ClipGradNorm, ScalesAllGradientsTogether) {
  const Tensor a = parameter(at::zeros({1})), b = parameter(at::zeros({1}));
  set_grad(a, at::full({1}, 3.0));
  set_grad(b, at::full({1}, 4.0));
  EXPECT_DOUBLE_EQ(clip_grad_norm({a, b}, 1.0), 5.0);
  EXPECT_NEAR(a.grad()[0].item<double>(), 0.6, 1e-6);  // the factor is 1 / (5 + 1e-6)
  EXPECT_NEAR(b.grad()[0].item<double>(), 0.8, 1e-6);
  EXPECT_LE(clip_grad_norm({a, b}, 1.0), 1.0 + 1e-6);
}

TEST(ClipGradNorm, LeavesSmallGradientsAlone) {
  const Tensor a = parameter(at::zeros({2})), without = parameter(at::zeros({2}));
  set_grad(a, at::full({2}, 0.1));
  EXPECT_NEAR(clip_grad_norm({a, without}, 1.0), std::sqrt(0.02), 1e-7);
  EXPECT_TRUE(a.grad().equal(at::full({2}, 0.1)));
  set_grad(a, at::full({2}, 100.0));
  clip_grad_norm({a}, std::numeric_limits<double>::infinity());
  EXPECT_TRUE(a.grad().equal(at::full({2}, 100.0)));
  EXPECT_EQ(clip_grad_norm({without}, 1.0), 0.0);
}

TEST(ClipGradNorm, ReportsANormThatIsNotFiniteAndTouchesNothing) {
  const Tensor a = parameter(at::zeros({1})), b = parameter(at::zeros({1}));
  set_grad(a, at::full({1}, 3.0));
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    set_grad(b, at::full({1}, bad));
    EXPECT_FALSE(std::isfinite(clip_grad_norm({a, b}, 1.0)));
    EXPECT_EQ(a.grad()[0].item<double>(), 3.0);
  }
}

}  // namespace
}  // namespace unnoise
