// The SDE samplers against diffusers' numbers.
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dummies.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using dummies::loop;

TEST(ScoreSdeVe, FullLoopIsThatOfDiffusers) {
  const auto scheduler = make_scheduler("score_sde_ve");
  const Tensor x = loop(*scheduler, {.steps = 3});
  // The order of diffusers' pipeline. Its test has 14372758528: it calls set_sigmas before set_timesteps, and then
  // tells the network the first three levels of 2000 (1348, 1340, 1332) and not those of three steps (1348, 3.67,
  // 0.01).
  EXPECT_NEAR(dummies::sum_abs(x), 11515544576.0, 1e-5 * 11515544576.0);
  auto run = scheduler->start({.steps = 3});
  EXPECT_EQ(run.steps().size(), 6u);  // a corrector's call before each of the predictor's
  EXPECT_NEAR(run.steps()[1].timestep.item<double>(), 1348, 1e-2);
}

TEST(ScoreSdeVe, ExactScoreGivesThePictureBack) {
  const Tensor x0 = dummies::sample();
  const auto exact = [&](const Tensor& x, const Tensor& sigma) { return (x0 - x) / sigma.square(); };
  const auto scheduler = make_scheduler("score_sde_ve", {{"sigma_max", 50}});
  Rng rng(1);
  const Tensor start = x0 + 50 * rng.normal_like(x0);
  EXPECT_LT((loop(*scheduler, {.steps = 1000}, start, exact) - x0).abs().max().item<double>(),
            0.02);  // twice sigma_min
  auto run = scheduler->start({.steps = 10});
  const Tensor seen = run.x0(start, exact(start, run.steps()[0].timestep), run.steps()[0]);
  EXPECT_LT((seen - x0).abs().max().item<double>(), 1e-4);
}

TEST(ScoreSdeVe, StandsStillWhereThereIsNoScore) {
  const auto none = [](const Tensor& x, const Tensor&) { return at::zeros_like(x); };
  EXPECT_TRUE(
      loop(*make_scheduler("score_sde_ve"), {.steps = 5}, dummies::sample(), none).isfinite().all().item<bool>());
}

TEST(ScoreSdeVp, FullLoopEndsAtTheMeanOfDiffusersLastStep) {
  const Tensor x = loop(*make_scheduler("score_sde_vp"), {.steps = 10});
  EXPECT_NEAR(dummies::sum_abs(x), 3705.162, 0.04);  // with the last step's noise it would be 3708.283
  EXPECT_NEAR(dummies::probe(x), -14.31724, 2e-4);
}

TEST(ScoreSdeVp, LeadsFromNoiseToThePicture) {
  const auto scheduler = make_scheduler("score_sde_vp");
  const Tensor x0 = dummies::sample() - 0.5;
  Rng rng(1);
  auto run = scheduler->start({.steps = 1000});
  Tensor x = rng.normal_like(x0);
  for (const Step& step : run.steps()) {
    const double t = step.timestep.item<double>();
    const double alpha = std::exp(-0.25 * t * t * 19.9 - 0.05 * t), sigma = std::sqrt(1 - alpha * alpha);
    const auto result = run.step(x, (x - alpha * x0) / sigma, step, rng);
    EXPECT_LT((result.x0 - x0).abs().max().item<double>(), 2e-3);  // alpha is 0.006 at first
    x = result.prev_sample;
  }
  EXPECT_LT((x - x0).abs().mean().item<double>(), 0.02);
}

TEST(ScoreSde, RefusesBadInput) {
  EXPECT_THROW(make_scheduler("score_sde_ve", {{"sigma_min", 0}}), Error);
  EXPECT_THROW(make_scheduler("score_sde_ve", {{"sigma_max", 0.001}}), Error);
  EXPECT_THROW(make_scheduler("score_sde_ve", {{"correct_steps", -1}}), Error);
  EXPECT_THROW(make_scheduler("score_sde_ve")->start({.steps = 0}), Error);
  EXPECT_THROW(make_scheduler("score_sde_vp", {{"beta_max", 0.01}}), Error);
  EXPECT_THROW(make_scheduler("score_sde_vp", {{"sampling_eps", 0}}), Error);
}

}  // namespace
}  // namespace unnoise
