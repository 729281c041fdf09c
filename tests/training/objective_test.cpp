#include "unnoise/training/objective.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/training/optimizer.h"
#include "unnoise/training/variational_bound.h"

namespace unnoise {
namespace {

using enum PredictionType;

/// One timestep, whose snr is known.
std::shared_ptr<const NoiseProcess> with_snr(PredictionType type, double snr) {
  return table_process(NoiseSchedule({.num_train_timesteps = 1, .trained_betas = {{1.0 / (1.0 + snr)}}}), type);
}

Tensor first_timestep() { return at::zeros({1}, at::kLong); }

double weight(PredictionType type, double snr, const Objective& objective) {
  const Tensor w = loss_weights(objective, *with_snr(type, snr), first_timestep());
  return w.defined() ? w[0].item<double>() : 1.0;
}
double min_snr_weight(PredictionType type, double snr, double gamma) {
  return weight(type, snr, {.weighting = LossWeighting::min_snr, .snr_gamma = gamma});
}

// Float32 tables: an abar near 1 leaves 1 - abar with few digits, hence 1e-5 throughout.
TEST(LossWeights, AreThoseOfTheScriptByDefault) {
  EXPECT_EQ(weight(epsilon, 4.0, {}), 1.0);
  EXPECT_EQ(weight(v_prediction, 4.0, {}), 1.0);
  EXPECT_NEAR(weight(sample, 4.0, {}), 4.0, 4e-5);
}

TEST(LossWeights, OfMinSnr) {
  EXPECT_NEAR(min_snr_weight(epsilon, 20.0, 5.0), 0.25, 1e-5);
  EXPECT_EQ(min_snr_weight(epsilon, 0.5, 5.0), 1.0);
  EXPECT_NEAR(min_snr_weight(v_prediction, 20.0, 5.0), 5.0 / 21.0, 1e-5);
  EXPECT_NEAR(min_snr_weight(v_prediction, 0.5, 5.0), 0.5 / 1.5, 1e-5);
  EXPECT_NEAR(min_snr_weight(sample, 20.0, 5.0), 5.0, 1e-5);
  EXPECT_NEAR(min_snr_weight(sample, 0.5, 5.0), 0.5, 1e-5);
}

TEST(LossWeights, EqualTheirPapersByHand) {
  using enum LossWeighting;
  struct Case {
    Objective objective;
    double x0_weight;  // at snr 3
  };
  for (const auto& [objective, x0_weight] :
       {Case{{.weighting = soft_min_snr, .snr_gamma = 5}, 15.0 / 8}, Case{{.weighting = p2}, 3.0 / 4},
        Case{{.weighting = p2, .p2_gamma = 0.5, .p2_k = 6}, 1.0}, Case{{.weighting = truncated_snr}, 3.0},
        Case{{.weighting = edm, .sigma_data = 0.5}, 7.0}}) {
    EXPECT_NEAR(weight(sample, 3, objective), x0_weight, 1e-5);
    EXPECT_NEAR(weight(epsilon, 3, objective), x0_weight / 3, 1e-5);
    EXPECT_NEAR(weight(v_prediction, 3, objective), x0_weight / 4, 1e-5);
  }
  EXPECT_NEAR(weight(sample, 0.25, {.weighting = truncated_snr}), 1.0, 1e-5);
}

// At the last timestep of a zero-terminal-SNR schedule the picture is pure noise.
TEST(LossWeights, AreFiniteWhereThereIsNoSignal) {
  const NoiseSchedule noise({.rescale_betas_zero_snr = true});
  const Tensor last = at::full({1}, 999, at::kLong);
  const auto at_last = [&](PredictionType type) {
    return loss_weights({.weighting = LossWeighting::min_snr}, *table_process(noise, type), last)[0].item<double>();
  };
  EXPECT_EQ(at_last(epsilon), 1.0);
  EXPECT_NEAR(at_last(v_prediction), 0.0, 1e-29);  // the signal is counted as 1e-30 of the noise
  EXPECT_NEAR(at_last(sample), 0.0, 1e-29);
}

TEST(LossWeights, RefuseNumbersThatMeanNothing) {
  const auto process = with_snr(epsilon, 1);
  using enum LossWeighting;
  for (const Objective& wrong :
       {Objective{.weighting = min_snr, .snr_gamma = 0.0},
        Objective{.weighting = soft_min_snr, .snr_gamma = std::nan("")}, Objective{.weighting = p2, .p2_gamma = -1},
        Objective{.weighting = p2, .p2_k = 0}, Objective{.weighting = edm, .sigma_data = 0}})
    EXPECT_THROW(loss_weights(wrong, *process, first_timestep()), Error);
}

// Whatever the network answers with, the weighted loss of one and the same error of x0 is the same.
TEST(LossWeights, DoNotDependOnWhatTheNetworkPredicts) {
  const Tensor x0 = at::randn({4, 3, 2, 2}), eps = at::randn({4, 3, 2, 2}), error = 0.1 * at::randn({4, 3, 2, 2});
  const NoiseSchedule noise;
  const Tensor t = at::tensor({50, 200, 500, 800}, at::kLong);
  const Tensor sigma = noise.snr(t).rsqrt(), s = sigma / (1 + sigma);  // the levels of equal snr
  for (const auto weighting : {LossWeighting::min_snr, LossWeighting::soft_min_snr, LossWeighting::p2,
                               LossWeighting::truncated_snr, LossWeighting::edm}) {
    std::vector<double> losses;
    const auto add = [&](const std::shared_ptr<const NoiseProcess>& process, const Tensor& level) {
      const Tensor xt = process->add_noise(x0, eps, level);
      // The answer whose picture is x0 + error: answers are affine in the picture.
      const Tensor exact = process->target(x0, eps, level), slope = process->x0(xt, exact + 1, level) - x0;
      const Tensor output = exact + error / slope;
      losses.push_back(
          training_loss({.weighting = weighting}, *process, {output, x0, eps, xt, level}).mean.item<double>());
    };
    for (const auto type : {epsilon, sample, v_prediction}) add(table_process(noise, type), t);
    add(edm_process(0.5), sigma);
    add(flow_process(), s);
    for (const double loss : losses) EXPECT_NEAR(loss, losses[0], losses[0] * 2e-3) << enum_name(weighting);
    // float32: at t = 50 one minus abar and the slope of eps have lost three digits
  }
}

/// Two pictures of two numbers, off by 0.5, -2 and by 0, 3.
struct Example {
  NoiseSchedule noise;
  Tensor eps = at::zeros({2, 1, 1, 2});
  Tensor x0 = at::ones({2, 1, 1, 2});
  Tensor t = at::tensor({10, 500}, at::kLong);
  Tensor output = at::tensor({0.5f, -2.0f, 0.0f, 3.0f}).reshape({2, 1, 1, 2});

  Loss loss(const Objective& objective, PredictionType type = epsilon) const {
    const Tensor xt = noise.add_noise(x0, eps, t);
    return training_loss(objective, *table_process(noise, type), {output, x0, eps, xt, t});
  }
};

TEST(TrainingLoss, EqualsItsValueByHand) {
  const Example example;
  const auto expect = [&](LossType type, double first, double second) {
    const Loss loss = example.loss({.loss = type});
    EXPECT_FLOAT_EQ(loss.per_sample[0].item<float>(), first);
    EXPECT_FLOAT_EQ(loss.per_sample[1].item<float>(), second);
    EXPECT_FLOAT_EQ(loss.mean.item<float>(), (first + second) / 2);
  };
  expect(LossType::l2, (0.25 + 4.0) / 2, 9.0 / 2);
  expect(LossType::l1, (0.5 + 2.0) / 2, 3.0 / 2);
  expect(LossType::huber, (0.125 + 1.5) / 2, 2.5 / 2);
}

TEST(TrainingLoss, OfASampleIsWeightedBySnr) {
  const Example example;
  const Loss loss = example.loss({}, sample);
  const Tensor abar = example.noise.alphas_cumprod();
  const auto snr = [&](int64_t t) { return abar[t].item<double>() / (1.0 - abar[t].item<double>()); };
  const double first = snr(10) * (0.25 + 9.0) / 2, second = snr(500) * (1.0 + 4.0) / 2;
  EXPECT_NEAR(loss.mean.item<double>(), (first + second) / 2,
              first * 1e-4);  // 1 - abar in float32 where abar is near 1
  EXPECT_NEAR(loss.per_sample[1].item<double>(), second, second * 1e-5);
}

// Exact eps gives zero whatever is asked for.
TEST(TrainingLoss, IsZeroForThePerfectAnswer) {
  const NoiseSchedule noise;
  const Tensor x0 = at::randn({4, 3, 2, 2}), eps = at::randn({4, 3, 2, 2}),
               t = at::tensor({0, 100, 500, 999}, at::kLong);
  for (const auto type : {epsilon, sample, v_prediction})
    for (const auto distance : {LossType::l2, LossType::l1, LossType::huber}) {
      const auto process = table_process(noise, type);
      const Objective objective{.loss = distance, .weighting = LossWeighting::min_snr};
      const Tensor xt = process->add_noise(x0, eps, t), perfect = process->target(x0, eps, t);
      EXPECT_EQ(training_loss(objective, *process, {perfect, x0, eps, xt, t}).mean.item<double>(), 0.0);
    }
}

TEST(TrainingLoss, IsFloat32WhateverComesIn) {
  Example example;
  example.output = example.output.to(at::kBFloat16);
  const Loss loss = example.loss({});
  EXPECT_EQ(loss.mean.scalar_type(), at::kFloat);
  EXPECT_EQ(loss.per_sample.scalar_type(), at::kFloat);
  EXPECT_FALSE(loss.per_sample.requires_grad());
}

TEST(TrainingLoss, RefusesAnotherShape) {
  Example example;
  example.output = at::zeros({2, 2, 1, 2});  // as from a network that also predicts its variance
  try {
    example.loss({});
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.message(), testing::HasSubstr("expected [2,1,1,2], found [2,2,1,2]"));
  }
}

// L / e^u + u is least at u = log L: there every level's loss counts as 1.
TEST(TrainingLoss, OfLearnedUncertaintyIsLeastAtTheLogOfTheLoss) {
  Rng rng(0);
  const Uncertainty uncertainty(rng);
  const Example example;
  const Loss plain = example.loss({}), weighed = example.loss({.uncertainty = &uncertainty});
  EXPECT_FLOAT_EQ(weighed.mean.item<float>(), plain.mean.item<float>());  // u is 0 at first
  EXPECT_TRUE(weighed.per_sample.equal(plain.per_sample));
  uncertainty.parameters().back().detach().fill_(std::log(2.0));  // the bias
  const Loss shifted = example.loss({.uncertainty = &uncertainty});
  EXPECT_FLOAT_EQ(shifted.mean.item<float>(), plain.mean.item<float>() / 2 + std::log(2.0f));
}

// Two levels with very different losses: minimizing L / e^u + u brings u to log L at each of them.
TEST(TrainingLoss, TeachesUncertaintyTheLogOfTheLossAtEachLevel) {
  Rng rng(0);
  Uncertainty uncertainty(rng);
  Example example;
  example.output = example.output * at::tensor({0.1f, 3.0f}).reshape({2, 1, 1, 1});
  const Tensor losses = example.loss({}).per_sample;
  ASSERT_GT(losses[1].item<double>(), 100 * losses[0].item<double>());
  Optimizer adam(uncertainty.named_parameters(), {.type = OptimizerType::adam, .learning_rate = 0.01});
  for (int i = 0; i < 1000; ++i) {
    example.loss({.uncertainty = &uncertainty}).mean.backward();
    adam.step();
    adam.zero_grad();
  }
  const Tensor u = uncertainty(table_process(example.noise, epsilon)->snr(example.t));
  EXPECT_LE((u - losses.log()).abs().max().item<double>(), 0.05);
}

// Nichol & Dhariwal 2021, eq. 16: L_simple + 0.001 L_vlb, where L_vlb sums T terms of which one is drawn.
TEST(TrainingLoss, OfALearnedVarianceAddsTheBoundTimesAThousandthOfT) {
  for (const int64_t T : {1000, 600}) {
    Example example;
    example.noise = NoiseSchedule({.num_train_timesteps = T});
    const Tensor variance = at::full({2, 1, 1, 2}, 0.3), prediction = example.output;
    example.output = at::cat({prediction, variance}, 1);
    const Tensor xt = example.noise.add_noise(example.x0, example.eps, example.t);
    const Tensor x0_seen = example.noise.x0_from(epsilon, xt, prediction, example.t);
    const double bound =
        variational_bound(example.noise, {example.x0, xt, x0_seen, variance, example.t}).mean().item<double>();
    Example plain;
    plain.noise = example.noise;
    const double simple = plain.loss({}).mean.item<double>();
    ASSERT_GT(std::abs(bound), 0.01);
    EXPECT_NEAR(example.loss({.learned_variance = true}).mean.item<double>(),
                simple + static_cast<double>(T) / 1000 * bound, 1e-4 * std::abs(bound));
  }
}

TEST(TrainingLoss, OfALearnedVarianceMovesTheMeanAsBefore) {
  Example example;
  const Tensor prediction = example.output.clone().set_requires_grad(true);
  const Tensor variance = at::zeros({2, 1, 1, 2}).set_requires_grad(true);
  example.output = at::cat({prediction, variance}, 1);
  const Loss both = example.loss({.learned_variance = true});
  both.mean.backward();
  EXPECT_TRUE(both.per_sample.equal(Example().loss({}).per_sample));
  // d mean(d^2) / d output = 2 d / 4 numbers; the bound's gradient stops before the prediction.
  EXPECT_LE((prediction.grad() - (Example().output - Example().eps) / 2).abs().max().item<double>(), 1e-6);
  EXPECT_GT(variance.grad().abs().min().item<double>(), 0.0);
}

}  // namespace
}  // namespace unnoise
