// Flow matching against diffusers' numbers, the exact answer, and bad input.
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

std::vector<double> tenths() {
  std::vector<double> out;
  for (int i = 10; i > 0; --i) out.push_back(i / 10.);
  return out;
}

void expect_rows(const char* name, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const Tensor x = loop(*make_scheduler(name, row.config), row.options);
    EXPECT_NEAR(dummies::sum_abs(x), row.sum, 1e-5 * row.sum) << row.name;
    if (row.probe) EXPECT_NEAR(dummies::probe(x), *row.probe, 5e-5) << row.name;  // five digits are quoted
  }
}

TEST(FlowEuler, FullLoopsAreThoseOfDiffusers) {
  const StartOptions ten{.steps = 10};
  const Json dynamic{{"use_dynamic_shifting", true}};
  expect_rows("flow_euler",
              {{"shift 1", {}, ten, 133.362, 0.16889},
               {"shift 3", {{"shift", 3}}, ten, 129.349, 0.16381},
               {"mu .8", dynamic, {.steps = 10, .mu = 0.8}, 131.25, 0.16622},
               {"mu .8, sigmas", dynamic, {.sigmas = tenths(), .mu = 0.8}, 132.22, 0.16745},
               {"mu 2, linear",
                {{"use_dynamic_shifting", true}, {"time_shift_type", "linear"}},
                {.steps = 10, .mu = 2},
                131.8,
                0.16692},
               {"Karras", {{"use_karras_sigmas", true}}, ten, 119.973, 0.15194},
               {"exponential", {{"use_exponential_sigmas", true}}, ten, 107.465, 0.1361},
               {"beta", {{"use_beta_sigmas", true}}, ten, 132.289, 0.16753},
               {"terminal", {{"shift_terminal", 0.1}}, ten, 134.152, 0.16989},
               {"inverted", {{"invert_sigmas", true}}, ten, 888.903, 1.1257},
               {"stochastic", {{"shift", 3}, {"stochastic_sampling", true}}, ten, 151.697, -0.55574},
               {"timesteps", {}, {.timesteps = std::vector<double>{1000, 750, 500, 250}}, 121.678, 0.1541}});
}

TEST(FlowHeun, FullLoopsAreThoseOfDiffusers) {
  expect_rows("flow_heun", {{"shift 1", {}, {.steps = 5}, 151.789, 0.19223},
                            {"shift 3", {{"shift", 3}}, {.steps = 5}, 148.985, 0.18868}});
}

void expect_timesteps(const Run& run, const std::vector<double>& expected) {
  ASSERT_EQ(run.steps().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(run.steps()[i].timestep.item<double>(), expected[i], 1e-5 * expected[i] + 1e-5) << i;
}

TEST(FlowEuler, ShiftsTheGridTwiceAsPublished) {
  expect_timesteps(make_scheduler("flow_euler", {{"shift", 3}})->start({.steps = 10}),
                   {1000, 960.129, 913.349, 857.692, 790.368, 707.279, 602.151, 464.876, 278.049, 8.92857});
  const auto dynamic = make_scheduler("flow_euler", {{"use_dynamic_shifting", true}});
  expect_timesteps(dynamic->start({.steps = 10, .mu = 0.8}),
                   {1000, 946.877, 886.356, 816.775, 735.934, 640.862, 527.435, 389.772, 219.176, 2.22282});
  expect_timesteps(dynamic->start({.sigmas = tenths(), .mu = 0.8}),
                   {1000, 952.449, 899.012, 838.525, 769.496, 689.974, 597.374, 488.178, 357.486, 198.257});
}

TEST(FlowHeun, CallsTwiceAStepButTheLast) {
  expect_timesteps(make_scheduler("flow_heun")->start({.steps = 5}),
                   {1000, 750.25, 750.25, 500.5, 500.5, 250.75, 250.75, 1, 1});
}

TEST(Flow, AFinalZeroOfTheUsersSigmasIsTheEnd) {
  auto with_zero = tenths();
  with_zero.push_back(0);
  const auto scheduler = make_scheduler("flow_euler");
  EXPECT_TRUE(loop(*scheduler, {.sigmas = with_zero}).equal(loop(*scheduler, {.sigmas = tenths()})));
}

TEST(Flow, ExactVelocityGivesThePictureBack) {
  const Tensor x0 = dummies::sample() - 0.5;
  for (const char* name : {"flow_euler", "flow_heun", "flow_lcm"})
    for (const bool inverted : {false, true}) {
      if (inverted && std::string(name) == "flow_heun") continue;
      const auto scheduler = make_scheduler(name, {{"shift", 3}, {"invert_sigmas", inverted}});
      const auto exact = [&](const Tensor& x, const Tensor& t) {
        const double s = t.item<double>() / 1000;
        return inverted ? (x0 - x) / (1 - s) : (x - x0) / s;
      };
      for (const int64_t steps : {1, 2, 20}) {
        const Tensor x = loop(*scheduler, {.steps = steps}, dummies::noise(), exact);
        EXPECT_LT((x - x0).abs().max().item<double>(), 1e-4) << name << " " << inverted << " " << steps;
      }
    }
}

TEST(FlowEuler, StochasticInvertedSamplingEndsClean) {
  const auto scheduler = make_scheduler("flow_euler", {{"invert_sigmas", true}, {"stochastic_sampling", true}});
  const Tensor x0 = dummies::sample() - 0.5;
  const auto exact = [&](const Tensor& x, const Tensor& t) { return (x0 - x) / (1 - t.item<double>() / 1000); };
  EXPECT_LT((loop(*scheduler, {.steps = 5}, dummies::noise(), exact) - x0).abs().max().item<double>(), 1e-4);
}

TEST(FlowHeun, DrawsOnlyWithChurn) {
  const auto scheduler = make_scheduler("flow_heun");
  Rng used(3), fresh(3);
  auto run = scheduler->start({.steps = 2});
  for (const Step& step : run.steps()) run.next(dummies::sample(), dummies::sample(), step, used);
  EXPECT_TRUE(used.normal({4}).equal(fresh.normal({4})));
  EXPECT_FALSE(loop(*scheduler, {.steps = 5, .s_churn = 5}).equal(loop(*scheduler, {.steps = 5})));
}

TEST(FlowLcm, GrowsThePicture) {
  const auto scheduler = make_scheduler("flow_lcm", {{"scale_factors", {1.5, 2.0}}});
  const auto zero = [](const Tensor& x, const Tensor&) { return x * 0; };
  EXPECT_EQ(loop(*scheduler, {.steps = 3}, dummies::sample(), zero).sizes().vec(), (Shape{4, 3, 16, 16}));
  EXPECT_THROW(scheduler->start({.steps = 4}), Error);
  EXPECT_THROW(make_scheduler("flow_lcm", {{"scale_factors", {0.0}}}), Error);
}

TEST(Flow, KeepsHalvesAsTheyAre) {
  const auto half = [](const Tensor& x, const Tensor& t) { return dummies::model(x, t).to(at::kHalf); };
  const Tensor x = loop(*make_scheduler("flow_euler"), {.steps = 10}, dummies::sample().to(at::kHalf), half);
  EXPECT_EQ(x.scalar_type(), at::kHalf);
  EXPECT_NEAR(dummies::sum_abs(x.to(at::kFloat)), 133.362, 0.2);
}

TEST(Flow, RefusesBadInput) {
  using List = std::vector<double>;
  const auto scheduler = make_scheduler("flow_euler");
  for (const List& list : {List{}, List{0.5, 0.7}, List{2, 0.5}, List{NAN}, List{0}, List{0.5, 0.5}})
    EXPECT_THROW(scheduler->start({.sigmas = list}), Error);
  EXPECT_THROW(scheduler->start({.timesteps = List{2000}}), Error);
  EXPECT_THROW(scheduler->start({.timesteps = List{500}, .sigmas = List{0.5}}), Error);
  EXPECT_THROW(scheduler->start({.steps = 0}), Error);
  const auto dynamic = make_scheduler("flow_euler", {{"use_dynamic_shifting", true}});
  EXPECT_THROW(dynamic->start({.steps = 4}), Error);
  EXPECT_THROW(dynamic->start({.steps = 4, .mu = NAN}), Error);
  EXPECT_THROW(make_scheduler("flow_euler", {{"use_karras_sigmas", true}, {"use_beta_sigmas", true}}), Error);
  EXPECT_THROW(make_scheduler("flow_euler", {{"shift", 0}}), Error);
  EXPECT_THROW(make_scheduler("flow_euler", {{"shift_terminal", 1}}), Error);
  EXPECT_THROW(make_scheduler("flow_heun")->start({.steps = 4, .s_churn = -1}), Error);
  EXPECT_TRUE(
      loop(*make_scheduler("flow_euler", {{"shift_terminal", 0.1}}), {.steps = 1}).isfinite().all().item<bool>());
  EXPECT_TRUE(
      loop(*make_scheduler("flow_euler", {{"num_train_timesteps", 1}}), {.steps = 7}).isfinite().all().item<bool>());
}

}  // namespace
}  // namespace unnoise
