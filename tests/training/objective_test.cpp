#include "unnoise/training/objective.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using enum PredictionType;

/// One timestep, whose snr is known.
NoiseSchedule with_snr(double snr) {
  return NoiseSchedule({.num_train_timesteps = 1, .trained_betas = {{1.0 / (1.0 + snr)}}});
}

Tensor first_timestep() { return at::zeros({1}, at::kLong); }

double weight(PredictionType type, double snr, std::optional<double> gamma) {
  const Tensor w = loss_weights({.prediction_type = type, .snr_gamma = gamma}, with_snr(snr), first_timestep());
  return w.defined() ? w[0].item<double>() : 1.0;
}

// Float32 tables: an abar near 1 leaves 1 - abar with few digits, hence 1e-5.
TEST(LossWeights, AreThoseOfTheScriptWithoutGamma) {
  EXPECT_EQ(weight(epsilon, 4.0, {}), 1.0);
  EXPECT_EQ(weight(v_prediction, 4.0, {}), 1.0);
  EXPECT_NEAR(weight(sample, 4.0, {}), 4.0, 4e-5);
}

TEST(LossWeights, AreMinSnrWithGamma) {
  EXPECT_NEAR(weight(epsilon, 20.0, 5.0), 0.25, 1e-5);
  EXPECT_EQ(weight(epsilon, 0.5, 5.0), 1.0);
  EXPECT_NEAR(weight(v_prediction, 20.0, 5.0), 5.0 / 21.0, 1e-5);
  EXPECT_NEAR(weight(v_prediction, 0.5, 5.0), 0.5 / 1.5, 1e-5);
  EXPECT_NEAR(weight(sample, 20.0, 5.0), 5.0, 1e-5);
  EXPECT_NEAR(weight(sample, 0.5, 5.0), 0.5, 1e-5);
}

// At the last timestep of a zero-terminal-SNR schedule the picture is pure noise.
TEST(LossWeights, AreFiniteWhereThereIsNoSignal) {
  const NoiseSchedule noise({.rescale_betas_zero_snr = true});
  const Tensor last = at::full({1}, 999, at::kLong);
  const auto at_last = [&](PredictionType type) {
    return loss_weights({.prediction_type = type, .snr_gamma = 5.0}, noise, last)[0].item<double>();
  };
  EXPECT_EQ(at_last(epsilon), 1.0);
  EXPECT_EQ(at_last(v_prediction), 0.0);
  EXPECT_EQ(at_last(sample), 0.0);
}

TEST(LossWeights, RefuseAGammaOfZero) {
  const NoiseSchedule noise;
  EXPECT_THROW(loss_weights({.snr_gamma = 0.0}, noise, first_timestep()), Error);
  EXPECT_THROW(loss_weights({.snr_gamma = std::nan("")}, noise, first_timestep()), Error);
}

/// Two pictures of two numbers, off by 0.5, -2 and by 0, 3.
struct Example {
  NoiseSchedule noise;
  Tensor eps = at::zeros({2, 1, 1, 2});
  Tensor x0 = at::ones({2, 1, 1, 2});
  Tensor t = at::tensor({10, 500}, at::kLong);
  Tensor output = at::tensor({0.5f, -2.0f, 0.0f, 3.0f}).reshape({2, 1, 1, 2});

  Loss loss(const Objective& objective) const { return training_loss(objective, noise, output, x0, eps, t); }
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
  const Loss loss = example.loss({.prediction_type = sample});
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
      const Objective objective{.prediction_type = type, .loss = distance, .snr_gamma = 5.0};
      EXPECT_EQ(training_loss(objective, noise, noise.target(type, x0, eps, t), x0, eps, t).mean.item<double>(), 0.0);
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

}  // namespace
}  // namespace unnoise
