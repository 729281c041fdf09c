#include "unnoise/schedulers/scheduler.h"

#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dummies.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using ::testing::HasSubstr;

template <class F>
Error error_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  return usage_error("no error");
}

TEST(Scheduler, ConfigHoldsEveryKeyAndKeepsUnknownOnes) {
  const auto scheduler = scheduler_from_config({{"_class_name", "DDIMScheduler"},
                                                {"_diffusers_version", "0.1.1"},
                                                {"beta_end", 0.03},
                                                {"skip_prk_steps", true}});
  const Json config = scheduler->config();
  EXPECT_EQ(config["_class_name"], "DDIMScheduler");
  EXPECT_EQ(config["_diffusers_version"], "0.42.1");
  EXPECT_EQ(config["beta_end"], 0.03);
  EXPECT_EQ(config["skip_prk_steps"], true);
  EXPECT_EQ(config["set_alpha_to_one"], true);
  EXPECT_TRUE(config["trained_betas"].is_null());
  EXPECT_EQ(config.size(), 15u + 3);  // DDIMScheduler's keys, one unknown, class and version
}

TEST(Scheduler, AnotherClassTakesOverChoicesButNotDefaults) {
  const auto ddpm = make_scheduler("ddpm", {{"prediction_type", "v_prediction"}, {"variance_type", "fixed_large"}});
  const auto ddim = make_scheduler("ddim", *ddpm);
  EXPECT_EQ(ddim->class_name(), "DDIMScheduler");
  EXPECT_EQ(ddim->prediction_type, PredictionType::v_prediction);
  EXPECT_FALSE(ddim->given_config().contains("clip_sample"));                          // DDPM's default
  EXPECT_EQ(make_scheduler("ddpm", *ddim)->config()["variance_type"], "fixed_large");  // there and back
}

TEST(Scheduler, MadeFromTablesAloneHasTheSameTables) {
  const auto ddpm = make_scheduler("ddpm", {{"beta_schedule", "squaredcos_cap_v2"}, {"num_train_timesteps", 200}});
  EXPECT_TRUE(make_scheduler("ddim", ddpm->noise())->noise().betas().equal(ddpm->noise().betas()));
}

TEST(Scheduler, UnknownNamesAndValuesAreErrorsThatSayWhatIsNear) {
  const Error name = error_of([] { make_scheduler("ddin"); });
  EXPECT_THAT(name.message(), HasSubstr("scheduler \"ddin\" is not one of ddpm, ddim"));
  EXPECT_THAT(name.hint(), HasSubstr("ddim"));
  const Error value = error_of([] { make_scheduler("ddim", {{"beta_schedule", "scaled_liner"}}); });
  EXPECT_THAT(value.message(), HasSubstr("DDIMScheduler: beta_schedule: \"scaled_liner\" is not one of"));
  EXPECT_THAT(value.hint(), HasSubstr("scaled_linear"));
  EXPECT_THAT(error_of([] {
                make_scheduler("ddim", {{"clip_sample", 1}});
              }).message(),
              HasSubstr("clip_sample: expected true or false"));
  EXPECT_THAT(error_of([] { scheduler_from_config({{"beta_end", 1}}); }).message(), HasSubstr("_class_name"));
  EXPECT_THAT(error_of([] {
                scheduler_from_config({{"_class_name", "EulerScheduler"}});
              }).message(),
              HasSubstr("DDIMScheduler"));
  EXPECT_THAT(error_of([] { make_scheduler("ddim", Json::array()); }).message(), HasSubstr("expected a JSON object"));
}

TEST(Scheduler, TwoRunsOfOneSchedulerDoNotMeet) {
  const auto scheduler = make_scheduler("ddim");
  auto a = scheduler->start({.steps = 10}), b = scheduler->start({.steps = 10});
  Rng rng(0);
  Tensor xa = dummies::sample(), xb = dummies::noise();
  for (size_t i = 0; i < 10; ++i) {
    xa = a.next(xa, dummies::model(xa, a.steps()[i].timestep), a.steps()[i], rng);
    xb = b.next(xb, dummies::model(xb, b.steps()[i].timestep), b.steps()[i], rng);
  }
  EXPECT_TRUE(xa.equal(dummies::loop(*scheduler, {.steps = 10})));
}

TEST(Scheduler, StepsAreTakenInOrderAndOnce) {
  const auto scheduler = make_scheduler("ddpm");
  Rng rng(0);
  auto run = scheduler->start({.steps = 2});
  const Tensor x = dummies::sample();
  EXPECT_THROW(run.next(x, x, run.steps()[1], rng), Error);
  run.next(x, x, run.steps()[0], rng);
  EXPECT_THROW(run.next(x, x, run.steps()[0], rng), Error);
  run.next(x, x, run.steps()[1], rng);
  EXPECT_THAT(error_of([&] { run.next(x, x, run.steps()[1], rng); }).message(), HasSubstr("this run is over"));
  EXPECT_THROW(scheduler->start({.steps = 2, .begin = 2}), Error);
}

TEST(Scheduler, PeekingAtThePictureChangesNothing) {
  const auto scheduler = make_scheduler("ddpm");
  Rng rng(0);
  auto run = scheduler->start({.steps = 10});
  const Step& step = run.steps()[0];
  const Tensor x = dummies::sample(), out = dummies::model(x, step.timestep);
  const Tensor seen = run.x0(x, out, step);
  EXPECT_TRUE(run.step(x, out, step, rng).x0.equal(seen));
}

TEST(Scheduler, RefusesAnOutputOfAnotherShape) {
  Rng rng(0);
  auto run = make_scheduler("ddpm")->start({.steps = 2});
  const Tensor x = dummies::sample();
  EXPECT_THAT(error_of([&] { run.next(x, x.slice(1, 0, 2), run.steps()[0], rng); }).message(),
              HasSubstr("expected shape [4,3,8,8] (or twice the channels), found [4,2,8,8]"));
}

}  // namespace
}  // namespace unnoise
