#include "unnoise/training/train_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/full.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "unnoise/training/accumulation.h"

namespace unnoise {
namespace {

/// Two convolutions with the timestep added between them.
struct TinyNetwork {
  StateDict parameters;

  explicit TinyNetwork(uint64_t seed) {
    Rng rng(seed);
    for (const auto& [name, shape] : std::vector<std::pair<std::string, Shape>>{
             {"in", {8, 3, 3, 3}}, {"time", {1, 8, 1, 1}}, {"out", {3, 8, 3, 3}}})
      parameters.emplace_back(name, (rng.normal(shape) * 0.2).set_requires_grad(true));
  }
  const Tensor& operator[](size_t i) const { return parameters[i].second; }
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor&) const {
    const Tensor time = (t.to(at::kFloat) / 1000.0).reshape({-1, 1, 1, 1}) * (*this)[1];
    return at::conv2d(at::silu(at::conv2d(x, (*this)[0], {}, 1, 1) + time), (*this)[2], {}, 1, 1);
  }
  std::vector<Tensor> values() const {
    std::vector<Tensor> out;
    for (const auto& [name, p] : parameters) out.push_back(p.detach().clone());
    return out;
  }
};

std::shared_ptr<const NoiseProcess> ddpm() { return table_process(NoiseSchedule(), PredictionType::epsilon); }

Tensor pictures(int64_t n, uint64_t seed = 1) { return Rng(seed).uniform({n, 3, 8, 8}) * 2.0 - 1.0; }

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!a[i].equal(b[i])) return false;
  return a.size() == b.size();
}

TEST(DrawNoise, DrawsTheNoiseThenTheTimesteps) {
  Rng rng(4), twin(4);
  const NoiseDraw draw = draw_noise(pictures(5), *ddpm(), {}, rng);
  EXPECT_TRUE(draw.eps.equal(twin.normal({5, 3, 8, 8})));
  EXPECT_TRUE(draw.level.equal(twin.integers(1000, 5)));
}

TEST(TrainStep, LearnsAFewPicturesByHeart) {
  const TinyNetwork network(0);
  const auto process = ddpm();
  Optimizer optimizer(network.parameters, {.learning_rate = 1e-2});
  const TrainParts parts{network, *process, {}, optimizer};
  Rng rng(0);
  double first = 0, last = 0;
  for (int i = 0; i < 200; ++i) {
    const double loss = train_step(parts, {.x0 = pictures(8)}, rng).loss;
    if (i < 20) first += loss;
    if (i >= 180) last += loss;
  }
  EXPECT_LT(last, 0.5 * first);
}

TEST(TrainStep, GradientTimesLossIsTheGradientTimesTheLoss) {
  const auto process = ddpm();
  const Tensor x0 = pictures(4);
  Rng rng(2);
  const NoiseDraw draw = draw_noise(x0, *process, {}, rng);
  double loss = 0;
  const auto gradients = [&](bool times_loss) {
    const TinyNetwork network(0);
    Optimizer sgd(network.parameters, {.type = OptimizerType::sgd});
    const TrainParts parts{network, *process, {.gradient_times_loss = times_loss}, sgd};
    loss = train_step(parts, {.x0 = x0, .ends_group = false}, draw).loss;
    std::vector<Tensor> grads;
    for (const auto& [name, p] : network.parameters) grads.push_back(p.grad().clone());
    return grads;
  };
  const auto plain = gradients(false), scaled = gradients(true);
  ASSERT_GT(std::abs(loss - 1), 0.01);       // else the two could not be told apart
  for (size_t i = 0; i < plain.size(); ++i)  // one multiplication more, in float32
    EXPECT_LT((scaled[i] - plain[i] * loss).abs().max().item<double>(), 1e-6 * scaled[i].abs().max().item<double>());
}

TEST(TrainStep, AccumulationEqualsTheLargeBatch) {
  const auto process = ddpm();
  const Tensor x0 = pictures(11);
  Rng rng(2);
  const NoiseDraw draw = draw_noise(x0, *ddpm(), {}, rng);
  const auto train = [&](int64_t batch_size, int64_t accumulation) {
    const TinyNetwork network(0);
    Optimizer sgd(network.parameters,
                  {.type = OptimizerType::sgd, .learning_rate = 1.0, .weight_decay = 0, .momentum = 0});
    const TrainParts parts{network, *process, {}, sgd, nullptr, /*max_grad_norm=*/0};
    const AccumulationPlan plan(11, batch_size, accumulation);
    for (int64_t batch = 0; batch < plan.batches_per_epoch(); ++batch) {
      const auto part = [&](const Tensor& all) { return all.narrow(0, batch * batch_size, plan.samples(batch)); };
      const auto result = train_step(parts, {part(x0), {}, plan.weight(batch), plan.ends_group(batch)},
                                     NoiseDraw{.eps = part(draw.eps), .level = part(draw.level)});
      EXPECT_EQ(result.outcome, plan.ends_group(batch) ? StepOutcome::updated : StepOutcome::accumulated);
    }
    return network.values();
  };
  const auto whole = train(11, 1), fours = train(4, 3);  // groups of 4, 4 and 3 pictures
  for (size_t i = 0; i < whole.size(); ++i)  // with SGD at rate 1 the weights move by the gradient; float32 sums
    EXPECT_LE((whole[i] - fours[i]).abs().max().item<double>(), 1e-6);
}

TEST(TrainStep, ReportsWhatItDid) {
  const TinyNetwork network(0);
  const auto process = ddpm();
  Optimizer optimizer(network.parameters, {});
  Ema ema(network.parameters);
  const TrainParts parts{network, *process, {}, optimizer, &ema};
  Rng rng(0);
  const auto half = train_step(parts, {.x0 = pictures(3), .weight = 0.5, .ends_group = false}, rng);
  EXPECT_EQ(half.outcome, StepOutcome::accumulated);
  EXPECT_FALSE(half.grad_norm.has_value());
  EXPECT_EQ(half.per_sample.sizes(), at::IntArrayRef({3}));
  EXPECT_EQ(half.timesteps.sizes(), at::IntArrayRef({3}));
  EXPECT_NEAR(half.per_sample.mean().item<double>(), half.loss, 1e-6);  // not halved; float32
  EXPECT_EQ(ema.optimization_step(), 0);

  const auto end = train_step(parts, {.x0 = pictures(3), .weight = 0.5}, rng);
  EXPECT_EQ(end.outcome, StepOutcome::updated);
  EXPECT_GT(end.grad_norm.value(), 0.0);
  EXPECT_EQ(ema.optimization_step(), 1);
  for (const auto& [name, p] : network.parameters) EXPECT_FALSE(p.grad().defined()) << name;
}

TEST(TrainStep, StopsBeforeANonFiniteLossTouchesAnything) {
  const TinyNetwork network(0);
  const auto process = ddpm();
  Optimizer optimizer(network.parameters, {});
  Ema ema(network.parameters);
  const auto before = network.values();
  const Network broken = [&](const Tensor& x, const Tensor& t, const Tensor& labels) {
    return network(x, t, labels) * std::numeric_limits<float>::infinity();
  };
  const TrainParts parts{broken, *process, {}, optimizer, &ema};
  Rng rng(0);
  const auto result = train_step(parts, {.x0 = pictures(2)}, rng);
  EXPECT_EQ(result.outcome, StepOutcome::loss_not_finite);
  EXPECT_FALSE(std::isfinite(result.loss));
  EXPECT_TRUE(same(network.values(), before));
  EXPECT_FALSE(network[0].grad().defined());
  EXPECT_EQ(ema.optimization_step(), 0);
  EXPECT_EQ(optimizer.state()[0].second.item<double>(), 0.0);
}

TEST(TrainStep, StopsBeforeANonFiniteGradientTouchesAWeight) {
  const TinyNetwork network(0);
  const auto process = ddpm();
  Optimizer optimizer(network.parameters, {});
  const auto before = network.values();
  network[1].mutable_grad() = at::full({1, 8, 1, 1}, std::nan(""));  // as from an earlier micro-batch
  const TrainParts parts{network, *process, {}, optimizer};
  Rng rng(0);
  const auto result = train_step(parts, {.x0 = pictures(2)}, rng);
  EXPECT_EQ(result.outcome, StepOutcome::gradient_not_finite);
  EXPECT_TRUE(std::isfinite(result.loss));
  EXPECT_TRUE(same(network.values(), before));
}

/// Answers with a multiple of the picture plus a multiple of what it is shown besides, and remembers what it saw.
struct SelfConditioned {
  Tensor weights = at::full({2}, 0.5).set_requires_grad(true);
  mutable std::vector<Tensor> seen;

  Tensor operator()(const Tensor& x, const Tensor&, const Tensor&) const {
    seen.push_back(x);
    return weights[0] * x.narrow(1, 0, 3) + weights[1] * x.narrow(1, 3, 3);
  }
};

// Chen et al. 2023, "Analog Bits", algorithm 1: zeros, or the network's own estimate of x0, without its gradient.
TEST(TrainStep, SelfConditioningShowsZerosOrTheFirstAnswerWithoutItsGradient) {
  const auto process = ddpm();
  const Tensor x0 = pictures(4);
  Rng rng(3);
  NoiseDraw draw = draw_noise(x0, *process, {.self_conditioning = true}, rng);
  const Tensor xt = process->add_noise(x0, draw.eps, draw.level);
  for (const bool own_answer : {false, true}) {
    const SelfConditioned network;
    Optimizer sgd({{"w", network.weights}}, {.type = OptimizerType::sgd});
    TrainParts parts{std::cref(network), *process, {}, sgd};
    parts.draw.self_conditioning = true;
    draw.self_condition = own_answer;
    train_step(parts, {.x0 = x0, .ends_group = false}, draw);
    ASSERT_EQ(network.seen.size(), own_answer ? 2u : 1u);
    EXPECT_TRUE(network.seen[0].equal(at::cat({xt, at::zeros_like(xt)}, 1)));
    const Tensor shown =
        own_answer ? process->x0(xt, (network.weights.detach()[0] * xt), draw.level) : at::zeros_like(xt);
    EXPECT_TRUE(network.seen.back().narrow(1, 3, 3).equal(shown));
    EXPECT_FALSE(network.seen.back().requires_grad());
    // d mean((w0 xt + w1 shown - eps)^2) / dw, with `shown` a constant.
    const Tensor error = 2 * (0.5 * xt + 0.5 * shown - draw.eps);
    const double by_w0 = (error * xt).mean().item<double>(), by_w1 = (error * shown).mean().item<double>();
    EXPECT_NEAR(network.weights.grad()[0].item<double>(), by_w0, 1e-5 * std::abs(by_w0));
    EXPECT_NEAR(network.weights.grad()[1].item<double>(), by_w1, 1e-5 * std::abs(by_w1));
  }
}

TEST(TrainStep, AScaledLossMovesTheWeightsAsThePlainOne) {
  const auto process = ddpm();
  const auto train = [&](GradScaler* scaler) {
    const TinyNetwork network(0);
    Optimizer optimizer(network.parameters, {.learning_rate = 1e-3});
    TrainParts parts{network, *process, {}, optimizer};
    parts.scaler = scaler;
    Rng rng(0);
    for (int i = 0; i < 5; ++i) train_step(parts, {.x0 = pictures(4)}, rng);
    return network.values();
  };
  GradScaler scaler;
  const auto plain = train(nullptr), scaled = train(&scaler);
  EXPECT_TRUE(same(plain, scaled));  // a power of two: exact in float32
}

// Course row 1.28: an injected infinity halves the scale and is no update: weights, average and optimizer stay.
TEST(TrainStep, AnOverflowIsSkippedAndHalvesTheScale) {
  const TinyNetwork network(0);
  const auto process = ddpm();
  Optimizer optimizer(network.parameters, {});
  Ema ema(network.parameters);
  GradScaler scaler;
  TrainParts parts{network, *process, {}, optimizer, &ema};
  parts.scaler = &scaler;
  const auto before = network.values();
  Rng rng(0);
  const auto overflow = [&] {
    network[1].mutable_grad() = at::full({1, 8, 1, 1}, std::numeric_limits<float>::infinity());
    return train_step(parts, {.x0 = pictures(2)}, rng).outcome;
  };
  EXPECT_EQ(overflow(), StepOutcome::skipped);
  EXPECT_EQ(scaler.scale(), 32768);
  EXPECT_TRUE(same(network.values(), before));
  EXPECT_EQ(ema.optimization_step(), 0);
  EXPECT_EQ(optimizer.state()[0].second.item<double>(), 0.0);
  EXPECT_FALSE(network[1].grad().defined());
  EXPECT_EQ(train_step(parts, {.x0 = pictures(2)}, rng).outcome, StepOutcome::updated);
  EXPECT_FALSE(same(network.values(), before));
  for (int i = 0; i < 15; ++i) EXPECT_EQ(overflow(), StepOutcome::skipped);
  EXPECT_EQ(scaler.scale(), 1);
  EXPECT_EQ(overflow(), StepOutcome::gradient_not_finite);  // it is not the scale's fault
}

TEST(TrainStep, Float16WithAScalerLearnsAsFloat32) {
  const auto process = ddpm();
  const auto train = [&](Precision precision, GradScaler* scaler) {
    const TinyNetwork network(0);
    Optimizer optimizer(network.parameters, {.learning_rate = 1e-3});
    TrainParts parts{network, *process, {}, optimizer};
    parts.precision = precision;
    parts.scaler = scaler;
    Rng rng(0);
    double loss = 0;
    for (int i = 0; i < 50; ++i) loss = train_step(parts, {.x0 = pictures(8)}, rng).loss;
    return loss;
  };
  GradScaler scaler;
  const double full = train(Precision::no, nullptr);
  EXPECT_NEAR(train(Precision::fp16, &scaler), full, 0.02 * full);
}

TEST(TrainStep, Bfloat16KeepsWeightsAndGradientsInFloat32) {
  const auto process = ddpm();
  const auto train = [&](Precision precision) {
    const TinyNetwork network(0);
    Optimizer optimizer(network.parameters, {.learning_rate = 1e-3});
    TrainParts parts{network, *process, {}, optimizer};
    parts.precision = precision;
    bool in_bfloat16 = false;
    parts.network = [&](const Tensor& x, const Tensor& t, const Tensor& labels) {
      const Tensor out = network(x, t, labels);
      in_bfloat16 = out.scalar_type() == at::kBFloat16;
      return out;
    };
    Rng rng(0);
    double loss = 0;
    for (int i = 0; i < 50; ++i) loss = train_step(parts, {.x0 = pictures(8)}, rng).loss;
    EXPECT_EQ(in_bfloat16, precision == Precision::bf16);
    for (const auto& [name, p] : network.parameters) EXPECT_EQ(p.scalar_type(), at::kFloat) << name;
    for (const auto& [name, s] : optimizer.state()) EXPECT_EQ(s.scalar_type(), at::kFloat) << name;
    return loss;
  };
  const double full = train(Precision::no);
  EXPECT_NEAR(train(Precision::bf16), full, 0.05 * full);  // bfloat16 has 8 bits
}

}  // namespace
}  // namespace unnoise
