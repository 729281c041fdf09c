// unCLIP's and Würstchen's ancestral samplers.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "dummies.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using dummies::loop;
using ::testing::ElementsAre;

TEST(Unclip, FullLoopsAreThoseOfDiffusers) {
  EXPECT_NEAR(dummies::sum_abs(loop(*make_scheduler("unclip"), {.steps = 1000})), 252.2682495, 1e-2);
  EXPECT_NEAR(dummies::sum_abs(loop(*make_scheduler("unclip"), {.steps = 25})), 258.2044983, 1e-2);
}

TEST(Unclip, ReachesBothEnds) {
  const auto timesteps = [](int64_t steps) {
    return dummies::timesteps_of(make_scheduler("unclip")->start({.steps = steps}));
  };
  EXPECT_THAT(timesteps(4), ElementsAre(999, 666, 333, 0));
  EXPECT_THAT(timesteps(1), ElementsAre(999));  // a division by zero in diffusers
}

TEST(Unclip, ALearnedVarianceLiesBetweenTheTwoFixedOnes) {
  const auto with = [](double v) {
    return [v](const Tensor& x, const Tensor& t) { return at::cat({dummies::model(x, t), x * 0 + v}, 1); };
  };
  const auto learned = make_scheduler("unclip", {{"variance_type", "learned_range"}});
  const Tensor smallest = loop(*learned, {.steps = 5}, dummies::sample(), with(-1));
  EXPECT_LT((smallest - loop(*make_scheduler("unclip"), {.steps = 5})).abs().max().item<double>(), 1e-5);
  EXPECT_THROW(loop(*learned, {.steps = 5}), Error);
}

TEST(Unclip, RefusesWhatItsNetworksDoNotPredict) {
  EXPECT_THROW(make_scheduler("unclip", {{"prediction_type", "v_prediction"}}), Error);
  EXPECT_THROW(make_scheduler("unclip", {{"beta_schedule", "linear"}}), Error);
  EXPECT_THROW(make_scheduler("unclip")->start({.steps = 1001}), Error);
}

TEST(Wuerstchen, ExactNoiseGivesThePictureBack) {
  const Tensor x0 = dummies::sample() - 0.5;
  const auto abar = [](double t) {
    const auto f = [](double s) { return std::pow(std::cos((s + 0.008) / 1.008 * std::numbers::pi / 2), 2); };
    return std::clamp(f(t) / f(0), 1e-4, 0.9999);
  };
  const auto exact = [&](const Tensor& x, const Tensor& t) {
    const double a = abar(t.item<double>());
    return (x - std::sqrt(a) * x0) / std::sqrt(1 - a);
  };
  const auto scheduler = make_scheduler("wuerstchen");
  for (const int64_t steps : {1, 10, 100}) {
    const Tensor x = loop(*scheduler, {.steps = steps}, dummies::noise(), exact);
    EXPECT_LT((x - x0).abs().max().item<double>(), 0.05) << steps;  // abar ends at 0.9999, not at 1
  }
  EXPECT_EQ(scheduler->start({.steps = 4}).steps()[3].timestep.item<double>(), 0.25);
}

TEST(Wuerstchen, RefusesBadInput) {
  EXPECT_THROW(make_scheduler("wuerstchen", {{"scaler", 0}}), Error);
  EXPECT_THROW(make_scheduler("wuerstchen", {{"s", -1}}), Error);
  EXPECT_THROW(make_scheduler("wuerstchen")->start({.timesteps = std::vector<double>{1}}), Error);
  EXPECT_THROW(make_scheduler("wuerstchen")->start({.timesteps = std::vector<double>{0.5, 0.7}}), Error);
}

}  // namespace
}  // namespace unnoise
