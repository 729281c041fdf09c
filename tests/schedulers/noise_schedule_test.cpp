#include "unnoise/schedulers/noise_schedule.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using ::testing::HasSubstr;

Tensor long_tensor(std::vector<int64_t> values) { return at::tensor(values); }

std::string error_of(const NoiseOptions& options) {
  try {
    NoiseSchedule schedule(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.message();
  }
  return "no error";
}

TEST(NoiseSchedule, AlphaBarsAreThoseOfDiffusers) {
  struct Row {
    NoiseOptions options;
    std::array<double, 5> alpha_bar;  // at 0, 1, 500, 998, 999; diffusers 0.42.1
  };
  const std::vector<Row> rows{
      {{}, {.99989998, .99978006, .07779666, 4.1181946e-05, 4.0358307e-05}},
      {{.beta_start = .00085, .beta_end = .012, .beta_schedule = BetaSchedule::scaled_linear},
       {.999149978, .998296022, .276332468, .00471669575, .00466009509}},
      {{.beta_schedule = BetaSchedule::squaredcos_cap_v2},
       {.99995869, .99991256, .49228504, 2.4287663e-06, 2.428735e-09}},
      {{.beta_schedule = BetaSchedule::sigmoid}, {.99985081, .99970102, .29888758, 4.0489624e-05, 3.9681821e-05}},
      {{.beta_schedule = BetaSchedule::laplace}, {.97884625, .97028351, .70728344, .2070266, .031622775}},
      {{.beta_schedule = BetaSchedule::exp}, {.98807174, .97628576, .0024492182, 6.2185554e-06, 6.1443789e-06}},
      {{.rescale_betas_zero_snr = true}, {.999899983, .999779344, .0752462, 4.21327329e-09, 0}},
  };
  const std::array<int64_t, 5> at{0, 1, 500, 998, 999};
  for (const auto& [options, expected] : rows) {
    const NoiseSchedule schedule(options);
    for (size_t i = 0; i < at.size();
         ++i)  // a processor's vector width moves linspace by an ulp; bit equality: tests/interop
      EXPECT_NEAR(schedule.alpha_bar(at[i]), expected[i], 2e-6 * expected[i])
          << enum_name(options.beta_schedule) << " at " << at[i];
  }
}

// Where the curves of signal and noise cross, computed in double from the papers' formulas.
TEST(NoiseSchedule, SignalAndNoiseCrossWhereTheCourseSaysSo) {
  const auto crossing = [](const NoiseOptions& options) {
    const NoiseSchedule schedule(options);
    int64_t t = 0;
    while (schedule.alpha_bar(t) >= 0.5) ++t;
    return t;
  };
  EXPECT_EQ(crossing({}), 259);
  EXPECT_EQ(crossing({.beta_schedule = BetaSchedule::squaredcos_cap_v2}), 496);
  EXPECT_EQ(crossing({.beta_start = .00085, .beta_end = .012, .beta_schedule = BetaSchedule::scaled_linear}), 354);
}

// The Annotated Diffusion Model's T = 300, likewise. Its own cosine caps beta at 0.9999, here as in diffusers it is
// 0.999.
TEST(NoiseSchedule, OfThreeHundredStepsEndsWhereTheAnnotatedModelsDoes) {
  const auto last = [](BetaSchedule schedule) {
    return NoiseSchedule({.num_train_timesteps = 300, .beta_schedule = schedule}).alpha_bar(299);
  };
  EXPECT_NEAR(last(BetaSchedule::linear), .0480584, 1e-6);
  EXPECT_NEAR(last(BetaSchedule::scaled_linear), .114474, 1e-6);  // its "quadratic"
  EXPECT_NEAR(last(BetaSchedule::sigmoid), .0478159, 1e-6);
  EXPECT_NEAR(last(BetaSchedule::squaredcos_cap_v2), 2.69861e-8, 1e-12);
  const NoiseSchedule cosine({.num_train_timesteps = 300, .beta_schedule = BetaSchedule::squaredcos_cap_v2});
  EXPECT_NEAR(cosine.betas()[0].item<double>(), 1.56496e-4, 1e-8);
}

TEST(NoiseSchedule, AddNoiseFollowsEquation4PictureByPicture) {
  const NoiseSchedule schedule;
  const Tensor x0 = at::rand({3, 2, 4, 4}), eps = at::randn({3, 2, 4, 4});
  const Tensor xt = schedule.add_noise(x0, eps, long_tensor({0, 500, 999}));
  for (int64_t b = 0; b < 3; ++b) {
    const auto [alpha, sigma] = schedule.level(std::array<int64_t, 3>{0, 500, 999}[static_cast<size_t>(b)]);
    EXPECT_LT((xt[b] - (alpha * x0[b] + sigma * eps[b])).abs().max().item<double>(), 1e-6);  // a few ulps of float32
  }
}

TEST(NoiseSchedule, HalvesAreNoisedWithHalvedAlphaBar) {
  const NoiseSchedule schedule;
  const Tensor x0 = at::rand({2, 1, 2, 2}).to(at::kHalf), eps = at::randn({2, 1, 2, 2}).to(at::kHalf);
  const Tensor abar = schedule.alphas_cumprod().to(at::kHalf)[500];
  const Tensor xt = schedule.add_noise(x0, eps, long_tensor({500}));
  EXPECT_EQ(xt.scalar_type(), at::kHalf);
  EXPECT_TRUE(xt.equal(abar.sqrt() * x0 + (1 - abar).sqrt() * eps));
}

TEST(NoiseSchedule, TheTargetItselfGivesBackPictureAndNoise) {
  const NoiseSchedule schedule;
  const Tensor x0 = at::rand({4, 1, 3, 3}) * 2 - 1, eps = at::randn({4, 1, 3, 3}), t = long_tensor({0, 10, 300, 600});
  const Tensor xt = schedule.add_noise(x0, eps, t);
  for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction}) {
    const Tensor answer = schedule.target(type, x0, eps, t);
    // At t = 0, sqrt(abar) / sqrt(1 - abar) = 100 amplifies the rounding of x_t; at t = 600 the inverse is 6.
    EXPECT_LT((schedule.x0_from(type, xt, answer, t) - x0).abs().max().item<double>(), 1e-5) << enum_name(type);
    EXPECT_LT((schedule.eps_from(type, xt, answer, t) - eps).abs().max().item<double>(), 1e-4) << enum_name(type);
  }
}

TEST(NoiseSchedule, AFlowsTargetGivesBackPictureAndNoiseOnItsStraightPath) {
  const Tensor x0 = at::rand({2, 1, 3, 3}), eps = at::randn({2, 1, 3, 3});
  const NoiseLevel level{0.25f, 0.75f};
  const Tensor xt = level.alpha * x0 + level.sigma * eps, answer = eps - x0;
  EXPECT_LT((x0_from(PredictionType::flow_prediction, xt, answer, level) - x0).abs().max().item<double>(), 1e-6);
  EXPECT_LT((eps_from(PredictionType::flow_prediction, xt, answer, level) - eps).abs().max().item<double>(), 1e-6);
}

TEST(NoiseSchedule, PureNoiseStaysFinite) {
  const NoiseSchedule schedule({.rescale_betas_zero_snr = true});
  ASSERT_EQ(schedule.alpha_bar(999), 0.0f);
  const Tensor x = at::randn({1, 1, 4, 4}), t = long_tensor({999});
  for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction})
    for (const Tensor& output : {at::randn({1, 1, 4, 4}), x}) {
      EXPECT_TRUE(schedule.x0_from(type, x, output, t).isfinite().all().item<bool>()) << enum_name(type);
      EXPECT_TRUE(schedule.eps_from(type, x, output, t).isfinite().all().item<bool>()) << enum_name(type);
    }
}

TEST(NoiseSchedule, SnrIsSignalOverNoise) {
  const NoiseSchedule schedule;
  const Tensor snr = schedule.snr(long_tensor({0, 999}));
  EXPECT_FLOAT_EQ(snr[0].item<float>(), schedule.alpha_bar(0) / (1 - schedule.alpha_bar(0)));
  EXPECT_FLOAT_EQ(snr[1].item<float>(), schedule.alpha_bar(999) / (1 - schedule.alpha_bar(999)));
}

TEST(NoiseSchedule, TrainedBetasAreTaken) {
  const NoiseSchedule schedule({.num_train_timesteps = 2, .trained_betas = std::vector{0.1, 0.3}});
  EXPECT_FLOAT_EQ(schedule.alpha_bar(1), 0.9f * 0.7f);
}

TEST(NoiseSchedule, NamesTheKeyOfAnImpossibleTable) {
  EXPECT_THAT(error_of({.num_train_timesteps = 0}), HasSubstr("num_train_timesteps: expected 1 to 1000000, found 0"));
  EXPECT_THAT(error_of({.num_train_timesteps = int64_t{1} << 40}), HasSubstr("num_train_timesteps"));
  EXPECT_THAT(error_of({.beta_start = 0}), HasSubstr("beta_start, beta_end: beta at timestep 0 is 0"));
  EXPECT_THAT(error_of({.beta_end = 1.5}), HasSubstr("expected above 0 and at most 1"));
  EXPECT_THAT(error_of({.beta_start = -1, .beta_schedule = BetaSchedule::scaled_linear}), HasSubstr("nan"));
  EXPECT_THAT(error_of({.trained_betas = std::vector{0.1, 0.3}}),
              HasSubstr("trained_betas: expected num_train_timesteps = 1000 values, found 2"));
  EXPECT_THAT(error_of({.num_train_timesteps = 1, .rescale_betas_zero_snr = true}),
              HasSubstr("rescale_betas_zero_snr"));
}

TEST(NoiseSchedule, RefusesATimestepOutsideTheTable) {
  EXPECT_THROW(NoiseSchedule().alpha_bar(1000), Error);
  EXPECT_THROW(NoiseSchedule().alpha_bar(-1), Error);
}

}  // namespace
}  // namespace unnoise
