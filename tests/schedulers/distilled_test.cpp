// The samplers of distilled models, LCM, TCD, CM and SCM, against diffusers' numbers.
#include <ATen/TensorOperators.h>
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

void expect_rows(const char* name, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const Tensor x = loop(*make_scheduler(name, row.config), row.options);
    EXPECT_NEAR(dummies::sum_abs(x), row.sum, 1e-5 * row.sum) << name << ": " << row.name;
    if (row.probe) EXPECT_NEAR(dummies::probe(x), *row.probe, 2e-5) << name << ": " << row.name;
  }
}

TEST(Lcm, FullLoopsAreThoseOfDiffusers) {
  expect_rows("lcm", {{"one", {}, {.steps = 1}, 18.7097, {}},
                      {"four", {}, {.steps = 4}, 189.007, -0.26869},
                      {"ten", {}, {.steps = 10}, 197.7616, {}},
                      {"v", {{"prediction_type", "v_prediction"}}, {.steps = 4}, 87.25, -0.033574},
                      {"half", {}, {.steps = 4, .strength = 0.5}, 198.274, -0.33733}});
}

TEST(Tcd, FullLoopsAreThoseOfDiffusers) {
  expect_rows("tcd", {{"one", {}, {.steps = 1, .eta = 0}, 29.8715, {}},
                      {"ten", {}, {.steps = 10, .eta = 0}, 181.2040, {}},
                      {"usual eta", {}, {.steps = 4}, 233.509, -0.3727},
                      {"eta 0", {}, {.steps = 4, .eta = 0}, 153, 0.19376},
                      {"v", {{"prediction_type", "v_prediction"}}, {.steps = 4, .eta = 1}, 100.496, -0.044812}});
}

TEST(Lcm, TakesTimestepsOfTheTeachersGrid) {
  const auto timesteps = [](const char* name, const StartOptions& options) {
    return dummies::timesteps_of(make_scheduler(name)->start(options));
  };
  EXPECT_THAT(timesteps("lcm", {.steps = 4}), ElementsAre(999, 759, 499, 259));
  EXPECT_THAT(timesteps("tcd", {.steps = 4}), ElementsAre(999, 759, 499, 259));
  EXPECT_THAT(timesteps("lcm", {.steps = 4, .strength = 0.5}), ElementsAre(499, 379, 259, 139));
  EXPECT_THAT(timesteps("lcm", {.timesteps = std::vector<double>{999, 500, 100}}), ElementsAre(999, 500, 100));
}

TEST(Lcm, EndsCleanWithCustomTimestepsAndStrength) {
  const StartOptions options{.timesteps = std::vector<double>{999, 699, 399, 99}, .strength = 0.5};
  const auto scheduler = make_scheduler("lcm");
  auto run = scheduler->start(options);
  Rng rng(0);
  Tensor x = dummies::sample();
  StepResult result;
  for (const Step& step : run.steps()) {
    result = run.step(x, dummies::model(x, step.timestep), step, rng);
    x = result.prev_sample;
  }
  EXPECT_TRUE(x.equal(result.x0));  // diffusers adds noise here
}

TEST(Lcm, RefusesMoreStepsThanTheTeacherHas) {
  for (const char* name : {"lcm", "tcd"}) {
    const auto scheduler = make_scheduler(name);
    EXPECT_THROW(scheduler->start({.steps = 51}), Error);
    EXPECT_THROW(scheduler->start({.steps = 0}), Error);
    EXPECT_THROW(scheduler->start({.steps = 4, .strength = 0.05}), Error);
    EXPECT_THROW(scheduler->start({.steps = 4, .strength = 0}), Error);
    EXPECT_THROW(scheduler->start({.steps = 4, .strength = NAN}), Error);
    EXPECT_THROW(scheduler->start({.steps = 4, .original_inference_steps = 0}), Error);
    EXPECT_THROW(scheduler->start({.steps = 4, .original_inference_steps = 2000}), Error);
    EXPECT_THROW(scheduler->start({.timesteps = std::vector<double>{}}), Error);
  }
  EXPECT_THROW(make_scheduler("tcd")->start({.steps = 4, .eta = 1.5}), Error);
  EXPECT_THROW(make_scheduler("lcm", {{"timestep_scaling", 0}}), Error);
}

TEST(Cm, FullLoopsAreThoseOfDiffusers) {
  const auto sum = [](const Json& config, const StartOptions& options) {
    const Tensor x = loop(*make_scheduler("cm_stochastic", config), options, dummies::sample() * 80, dummies::model);
    return std::pair{dummies::sum_abs(x), dummies::probe(x)};
  };
  const Json of_201{{"num_train_timesteps", 201}};
  EXPECT_NEAR(sum(of_201, {.steps = 1}).first, 192.7614, 2e-3);
  EXPECT_NEAR(sum(of_201, {.timesteps = std::vector<double>{106, 0}}).first, 347.6357, 4e-3);
  EXPECT_NEAR(sum({}, {.steps = 2}).first, 343.299, 4e-3);
  EXPECT_NEAR(sum({}, {.steps = 2}).second, -0.12047, 2e-5);
  EXPECT_NEAR(sum({}, {.timesteps = std::vector<double>{22, 0}}).first, 354.891, 4e-3);

  const auto scheduler = make_scheduler("cm_stochastic", of_201);
  const StartOptions late{.steps = 10, .begin = 8};
  const Tensor noised = scheduler->start(late).noised(dummies::sample() * 80, dummies::noise());
  EXPECT_NEAR(dummies::sum_abs(loop(*scheduler, late, noised, dummies::model)), 763.9186, 1e-2);
}

TEST(Cm, TellsTheNetworkALogarithmOfTheLevel) {
  auto run = make_scheduler("cm_stochastic")->start({.steps = 2});
  EXPECT_NEAR(run.steps()[0].timestep.item<double>(), 1095.51, 1e-2);
  EXPECT_NEAR(run.steps()[1].timestep.item<double>(), 201.668, 1e-3);
  EXPECT_THAT(run.sigmas(), ElementsAre(80, ::testing::DoubleNear(2.2406, 1e-3), ::testing::DoubleNear(0.002, 1e-9)));
}

TEST(Cm, RefusesLevelsThatDoNotFall) {
  EXPECT_THROW(make_scheduler("cm_stochastic", {{"sigma_min", 90}}), Error);
  EXPECT_THROW(make_scheduler("cm_stochastic", {{"sigma_min", 0}}), Error);
  EXPECT_THROW(make_scheduler("cm_stochastic")->start({.steps = 41}), Error);
  EXPECT_THROW(make_scheduler("cm_stochastic")->start({.timesteps = std::vector<double>{0, 22}}), Error);
  EXPECT_TRUE(
      loop(*make_scheduler("cm_stochastic", {{"num_train_timesteps", 1}}), {.steps = 1}).isfinite().all().item<bool>());
}

TEST(Scm, ExactVelocityGivesThePictureBack) {
  const Tensor x0 = dummies::sample() - 0.5;
  const auto exact = [&](const Tensor& x, const Tensor& t) {
    const double s = t.item<double>();
    return (std::cos(s) * x - x0) / std::sin(s);
  };
  for (const int64_t steps : {1, 2, 4})
    EXPECT_LT((loop(*make_scheduler("scm"), {.steps = steps}, dummies::noise(), exact) - x0).abs().max().item<double>(),
              1e-5);
  const auto run = make_scheduler("scm")->start({.steps = 2});
  EXPECT_NEAR(run.steps()[1].timestep.item<double>(), 1.3, 1e-6);
}

TEST(Scm, RefusesOtherPredictionsAndTimes) {
  EXPECT_THROW(make_scheduler("scm", {{"prediction_type", "epsilon"}}), Error);
  EXPECT_THROW(make_scheduler("scm")->start({.steps = 1001}), Error);
  EXPECT_THROW(make_scheduler("scm")->start({.timesteps = std::vector<double>{999, 0}}), Error);
  EXPECT_THROW(make_scheduler("scm")->start({.timesteps = std::vector<double>{1}}), Error);
}

}  // namespace
}  // namespace unnoise
