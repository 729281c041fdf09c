// DDPM against diffusers' numbers, against the closed form for Gaussian data, and against itself.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
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
using ::testing::HasSubstr;

/// Twice the channels: the prediction, and 0.1 x as the learned variance.
Tensor learned_model(const Tensor& x, const Tensor& t) { return at::cat({dummies::model(x, t), x * 0.1}, 1); }

TEST(Ddpm, FullLoopsAreThoseOfDiffusers) {
  const StartOptions ten{.steps = 10};
  const StartOptions custom{.timesteps = std::vector<double>{900, 500, 100, 1}};
  const std::vector<Row> rows{
      {"default", {}, ten, 234.849, -1},
      {"trailing", {{"timestep_spacing", "trailing"}}, ten, 230.567, -1},
      {"linspace", {{"timestep_spacing", "linspace"}}, ten, 232.801, -1},
      {"fixed_large", {{"variance_type", "fixed_large"}}, ten, 353.142, -1},
      {"fixed_large_log", {{"variance_type", "fixed_large_log"}}, ten, 353.142, -1},  // diffusers: NaN
      {"fixed_small_log", {{"variance_type", "fixed_small_log"}}, ten, 234.849, -1},
      {"squaredcos", {{"beta_schedule", "squaredcos_cap_v2"}}, ten, 243.002, -1},
      {"sigmoid", {{"beta_schedule", "sigmoid"}}, ten, 228.416, -1},
      {"laplace", {{"beta_schedule", "laplace"}}, ten, 264.424, -0.93212},
      {"sample", {{"prediction_type", "sample"}}, ten, 0, 0},
      {"v", {{"prediction_type", "v_prediction"}}, ten, 144.749, -0.61164},
      {"no clip", {{"clip_sample", false}}, ten, 236.891, -1.2962},
      {"thresholding",
       {{"thresholding", true}, {"dynamic_thresholding_ratio", .87}, {"sample_max_value", 1.5}},
       ten,
       234.849,
       -1},
      {"zero SNR",
       {{"rescale_betas_zero_snr", true}, {"prediction_type", "v_prediction"}, {"timestep_spacing", "trailing"}},
       ten,
       140.484,
       -0.46383},
      {"custom", {}, custom, 160.674, -0.26693},
      {"1000 steps", {}, {.steps = 1000}, 258.9606, {}},
      {"1000 steps, v", {{"prediction_type", "v_prediction"}}, {.steps = 1000}, 202.0296, {}},
  };
  for (const Row& row : rows) {
    const Tensor x = loop(*make_scheduler("ddpm", row.config), row.options);
    EXPECT_NEAR(dummies::sum_abs(x), row.sum, 1e-5 * row.sum + 1e-6) << row.name;  // six digits are quoted
    if (row.probe) EXPECT_NEAR(dummies::probe(x), *row.probe, 5e-5) << row.name;
  }
}

TEST(Ddpm, LearnedRangeIsThatOfDiffusers) {
  const Tensor x = loop(*make_scheduler("ddpm", {{"variance_type", "learned_range"}}), {.steps = 10}, dummies::sample(),
                        learned_model);
  EXPECT_NEAR(dummies::sum_abs(x), 274.187, 3e-3);  // six digits are quoted
}

TEST(Ddpm, LearnedVarianceMayBeNegativeWithoutNaN) {
  const auto model = [](const Tensor& x, const Tensor& t) { return at::cat({dummies::model(x, t), x * 0 - 1}, 1); };
  const Tensor x =
      loop(*make_scheduler("ddpm", {{"variance_type", "learned"}}), {.steps = 10}, dummies::sample(), model);
  EXPECT_TRUE(x.isfinite().all().item<bool>());
}

TEST(Ddpm, AFixedVarianceIgnoresTheLearnedHalf) {
  const Tensor x = loop(*make_scheduler("ddpm"), {.steps = 10}, dummies::sample(), learned_model);
  EXPECT_TRUE(x.equal(loop(*make_scheduler("ddpm"), {.steps = 10})));
}

TEST(Ddpm, BeginsInTheMiddleForImageToImage) {
  const auto scheduler = make_scheduler("ddpm");
  const StartOptions late{.steps = 1000, .begin = 998};
  const Tensor x = scheduler->start(late).noised(dummies::sample(), dummies::noise());
  EXPECT_NEAR(dummies::sum_abs(loop(*scheduler, late, x, dummies::model)), 387.9466, 1e-2);  // diffusers' own tolerance
}

/// For data N(m, s^2), what the best network answers at x_t: E[eps | x_t].
Tensor gaussian_eps(const Tensor& x, double abar, double m, double s) {
  const double alpha = std::sqrt(abar), sigma = std::sqrt(1 - abar);
  return sigma * (x - alpha * m) / (abar * s * s + 1 - abar);
}

TEST(Ddpm, GaussianDataComeBackWithTheirMeanAndVariance) {
  constexpr double m = 0.3, s = 0.5;
  constexpr int64_t n = 8000;
  const auto scheduler = make_scheduler("ddpm", {{"clip_sample", false}});
  // What the chain must give, by the same equations in double: x_prev = a x + b + sqrt(variance) z is linear here.
  double mean = 0, variance = 1;
  for (int64_t t = 999; t >= 0; --t) {
    const double abar = scheduler->noise().alpha_bar(t), prev = t > 0 ? scheduler->noise().alpha_bar(t - 1) : 1.0;
    const double alpha = abar / prev, beta = 1 - alpha;
    const double c0 = std::sqrt(prev) * beta / (1 - abar), ct = std::sqrt(alpha) * (1 - prev) / (1 - abar);
    const double gain =
        std::sqrt(abar) * s * s / (abar * s * s + 1 - abar);  // E[x0 | x_t] = m + gain (x_t - sqrt(abar) m)
    mean = (c0 * gain + ct) * mean + c0 * (m - gain * std::sqrt(abar) * m);
    variance = std::pow(c0 * gain + ct, 2) * variance + (t > 0 ? (1 - prev) / (1 - abar) * beta : 0.0);
  }
  EXPECT_NEAR(mean, m, 2e-3);                  // the chain starts from N(0,1), not from the data noised
  EXPECT_NEAR(variance, s * s, 0.02 * s * s);  // fixed_small is a lower bound: off by O(1/T)

  Rng rng(1);
  auto run = scheduler->start({.steps = 1000});
  Tensor x = run.first({1, 1, 1, n}, rng);
  for (const Step& step : run.steps())
    x = run.next(x, gaussian_eps(x, scheduler->noise().alpha_bar(step.timestep.item<int64_t>()), m, s), step, rng);
  EXPECT_NEAR(x.mean().item<double>(), mean, 5 * std::sqrt(variance / n));  // 5 standard errors
  EXPECT_NEAR(x.var().item<double>(), variance, 5 * variance * std::sqrt(2.0 / n));
}

TEST(Ddpm, ExactNoiseGivesThePictureBack) {
  const auto scheduler = make_scheduler("ddpm");
  const Tensor x0 = at::rand({2, 3, 4, 4}) * 2 - 1;
  const auto exact = [&](const Tensor& x, const Tensor& t) {
    return scheduler->noise().eps_from(PredictionType::sample, x, x0, t.reshape({1}));
  };
  for (const int64_t steps : {1, 3, 50, 1000}) {
    const Tensor x =
        loop(*scheduler, {.steps = steps}, dummies::noise().slice(0, 0, 2).slice(2, 0, 4).slice(3, 0, 4), exact);
    EXPECT_LT((x - x0).abs().max().item<double>(), 1e-4)
        << steps;  // at t = 0, rounding of x is amplified a hundredfold in eps
  }
}

TEST(Ddpm, DrawsNoNoiseAtTimestepZero) {
  const auto scheduler = make_scheduler("ddpm");
  Rng used(3), fresh(3);
  auto run = scheduler->start({.timesteps = std::vector<double>{0}});
  run.next(dummies::sample(), dummies::sample(), run.steps()[0], used);
  EXPECT_TRUE(used.normal({4}).equal(fresh.normal({4})));
}

std::string start_error(const Json& config, const StartOptions& options) {
  try {
    loop(*make_scheduler("ddpm", config), options);
  } catch (const Error& error) {
    return error.message();
  }
  return "no error";
}

TEST(Ddpm, SaysWhatItCannotDo) {
  EXPECT_THAT(start_error({}, {.eta = 0.5}), HasSubstr("eta"));
  EXPECT_THAT(start_error({}, {.steps = 2000}), HasSubstr("2000 is more than the 1000"));
  EXPECT_THAT(start_error({{"variance_type", "learned_range"}}, {.steps = 2}),
              HasSubstr("twice as many output channels"));
  EXPECT_THAT(start_error({{"rescale_betas_zero_snr", true}, {"clip_sample", false}, {"timestep_spacing", "trailing"}},
                          {.steps = 2}),
              HasSubstr("timestep 999 is pure noise"));
  EXPECT_THAT(start_error({{"prediction_type", "flow_prediction"}}, {}),
              HasSubstr("is not one of epsilon, sample, v_prediction"));
  EXPECT_THAT(start_error({{"variance_type", "fixed_smal"}}, {}),
              HasSubstr("variance_type: \"fixed_smal\" is not one of"));
}

/// Ho et al. 2020, algorithm 2 as printed, for a network that answers eps = x/2: every step multiplies x by a number
/// and adds beta~'s noise, none at the last. Without clipping the solver, which goes through x0, is the same.
TEST(Ddpm, IsAlgorithm2OfThePaperOnALinearModel) {
  const auto scheduler = make_scheduler("ddpm", {{"num_train_timesteps", 200}, {"clip_sample", false}});
  Rng ours(5), theirs(5);
  auto run = scheduler->start({.steps = 200});
  Tensor x = run.first({2, 1, 4, 4}, ours), y = theirs.normal({2, 1, 4, 4}).to(at::kDouble);
  for (const Step& step : run.steps()) {
    x = run.next(x, x / 2, step, ours);
    const auto t = step.timestep.item<int64_t>();
    const double abar = scheduler->noise().alpha_bar(t), before = t > 0 ? scheduler->noise().alpha_bar(t - 1) : 1;
    const double alpha = abar / before, beta = 1 - alpha;
    y = y * ((1 - beta / std::sqrt(1 - abar) / 2) / std::sqrt(alpha));
    if (t > 0) y = y + std::sqrt(beta * (1 - before) / (1 - abar)) * theirs.normal({2, 1, 4, 4});
  }
  // 200 steps in float32, whose betas are differences of numbers near 1
  EXPECT_LT((x - y).abs().max().item<double>(), 1e-3 * y.abs().max().item<double>());
  EXPECT_TRUE(at::equal(ours.state(), theirs.state())) << "the last step draws nothing";
}

}  // namespace
}  // namespace unnoise
