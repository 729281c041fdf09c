// PNDM and IPNDM against diffusers' numbers and against the exact answer.
#include <ATen/TensorOperators.h>
#include <ATen/ops/rand.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dummies.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using dummies::loop;
using dummies::Row;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

const Json kStableDiffusion{{"beta_start", .00085}, {"beta_end", .012},       {"beta_schedule", "scaled_linear"},
                            {"steps_offset", 1},    {"skip_prk_steps", true}, {"set_alpha_to_one", false}};

TEST(Pndm, FullLoopsAreThoseOfDiffusers) {
  const StartOptions ten{.steps = 10};
  const std::vector<Row> rows{
      {"Runge-Kutta", {}, ten, 198.132, 0.25092},
      {"Stable Diffusion", kStableDiffusion, ten, 201.386, 0.25504},
      {"skip, trailing", {{"skip_prk_steps", true}, {"timestep_spacing", "trailing"}}, ten, 198.796, 0.25176},
      {"skip, linspace", {{"skip_prk_steps", true}, {"timestep_spacing", "linspace"}}, ten, 215.154, 0.27248},
      {"v", {{"prediction_type", "v_prediction"}}, ten, 67.3986, 0.085356},
      // As diffusers 0.42.1 computes them; its own tests say 230.0399 and 186.9482, with a tolerance of 0.01.
      {"alpha to one", {{"beta_start", .01}, {"set_alpha_to_one", true}}, ten, 230.0336, {}},
      {"alpha not to one", {{"beta_start", .01}, {"set_alpha_to_one", false}}, ten, 186.9412, {}},
  };
  for (const Row& row : rows) {
    const Tensor x = loop(*make_scheduler("pndm", row.config), row.options);
    EXPECT_NEAR(dummies::sum_abs(x), row.sum, 1e-5 * row.sum) << row.name;
    if (row.probe) EXPECT_NEAR(dummies::probe(x), *row.probe, 2e-5) << row.name;
  }
}

TEST(Pndm, CallsFourTimesAWarmUpStepOrTwiceTheFirst) {
  const auto timesteps = [](const Json& config, int64_t steps) {
    return dummies::timesteps_of(make_scheduler("pndm", config)->start({.steps = steps}));
  };
  EXPECT_THAT(timesteps({{"steps_offset", 1}}, 10), ElementsAreArray({901, 851, 851, 801, 801, 751, 751, 701, 701, 651,
                                                                      651, 601, 601, 501, 401, 301, 201, 101, 1}));
  EXPECT_THAT(timesteps(kStableDiffusion, 10), ElementsAre(901, 801, 801, 701, 601, 501, 401, 301, 201, 101, 1));
  EXPECT_THAT(timesteps(kStableDiffusion, 1), ElementsAre(1));
  EXPECT_THAT(timesteps({}, 2), ElementsAre(500, 250, 250, 0, 0, 0, 0, 0));  // diffusers fails below four steps
}

TEST(Pndm, ExactNoiseGivesThePictureBack) {
  for (const bool skip : {false, true}) {
    const auto scheduler = make_scheduler("pndm", {{"skip_prk_steps", skip}, {"set_alpha_to_one", true}});
    const Tensor x0 = at::rand({2, 3, 4, 4}) * 2 - 1, eps = at::rand({2, 3, 4, 4}) * 2 - 1;
    auto run = scheduler->start({.steps = 20});
    Rng rng(0);
    Tensor x = run.noised(x0, eps), seen;
    for (const Step& step : run.steps()) {
      const auto result = run.step(x, eps, step, rng);
      x = result.prev_sample;
      seen = result.x0;
    }
    EXPECT_LT((x - x0).abs().max().item<double>(), 1e-4) << skip;  // a straight line in eps: every order is exact
    EXPECT_LT((seen - x0).abs().max().item<double>(), 1e-4) << skip;
  }
}

TEST(Pndm, BeginsInsideTheWarmUpAtAWholeStep) {
  auto run = make_scheduler("pndm")->start({.steps = 10, .begin = 6});
  EXPECT_EQ(run.steps().front().index, 4);
  EXPECT_EQ(run.steps().front().timestep.item<int64_t>(), 800);
}

TEST(Pndm, RefusesWhatItCannotDo) {
  EXPECT_THROW(make_scheduler("pndm", {{"prediction_type", "sample"}}), Error);
  EXPECT_THROW(make_scheduler("pndm")->start({.steps = 1001}), Error);
  EXPECT_THROW(make_scheduler("pndm")->start({.steps = 0}), Error);
  EXPECT_THROW(make_scheduler("pndm")->start({.timesteps = std::vector<double>{5, 1}}), Error);
}

TEST(Ipndm, FullLoopIsThatOfDiffusers) {
  const auto scheduler = make_scheduler("ipndm");
  const Tensor x = loop(*scheduler, {.steps = 10});
  EXPECT_NEAR(dummies::sum_abs(x), 247.441, 2e-3);
  EXPECT_NEAR(dummies::probe(x), 0.31337, 2e-5);
  const auto run = scheduler->start({.steps = 10});
  const std::vector<double> expected{1,       .858871, .719524, .583898,  .454249,
                                     .333333, .224576, .132159, .0608846, .0155808};
  ASSERT_EQ(run.steps().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(run.steps()[i].timestep.item<double>(), expected[i], 1e-6) << i;
}

TEST(Ipndm, ExactVelocityGivesThePictureBack) {
  const auto scheduler = make_scheduler("ipndm");
  const Tensor x0 = at::rand({2, 3, 4, 4}) * 2 - 1, eps = at::rand({2, 3, 4, 4}) * 2 - 1;
  auto run = scheduler->start({.steps = 20, .begin = 2});
  Rng rng(0);
  Tensor x = run.noised(x0, eps);
  for (const Step& step : run.steps()) {
    const double angle = step.timestep.item<double>() * 1.5707963267948966;
    const auto result = run.step(x, std::cos(angle) * eps - std::sin(angle) * x0, step, rng);
    EXPECT_LT((result.x0 - x0).abs().max().item<double>(), 1e-4);
    x = result.prev_sample;
  }
  EXPECT_LT((x - x0).abs().max().item<double>(), 1e-4);
}

TEST(Ipndm, RefusesAnotherSchedulersBetas) {
  EXPECT_THROW(make_scheduler("ipndm", {{"trained_betas", {0.1, 0.2, 0.3}}}), Error);
  const auto own = make_scheduler("ipndm", {{"trained_betas", {0.9, 0.5, 0.0}}});
  EXPECT_NO_THROW(own->start({.steps = 2}));
  EXPECT_THROW(own->start({.steps = 3}), Error);
}

}  // namespace
}  // namespace unnoise
