// DDIM against diffusers' numbers, against the closed form for Gaussian data, and against itself.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
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

TEST(Ddim, FullLoopsAreThoseOfDiffusers) {
  const StartOptions ten{.steps = 10};
  const Json stable_diffusion{{"beta_start", .00085}, {"beta_end", .012},          {"beta_schedule", "scaled_linear"},
                              {"clip_sample", false}, {"set_alpha_to_one", false}, {"steps_offset", 1}};
  const Json zero_snr{{"rescale_betas_zero_snr", true},
                      {"prediction_type", "v_prediction"},
                      {"timestep_spacing", "trailing"},
                      {"clip_sample", false}};
  const std::vector<Row> rows{
      {"default", {}, ten, 172.0067, 0.21784},
      {"trailing", {{"timestep_spacing", "trailing"}}, ten, 170.035, 0.21534},
      {"linspace", {{"timestep_spacing", "linspace"}}, ten, 191.254, 0.24221},
      {"eta .5", {}, {.steps = 10, .eta = 0.5}, 238.726, -1},
      {"eta 1, clipped output", {}, {.steps = 10, .eta = 1, .use_clipped_model_output = true}, 234.849, -1},
      {"Stable Diffusion", stable_diffusion, ten, 183.258, 0.23208},
      {"sample", {{"prediction_type", "sample"}}, ten, 0, 0},
      {"v", {{"prediction_type", "v_prediction"}}, ten, 52.5302, {}},
      {"squaredcos", {{"beta_schedule", "squaredcos_cap_v2"}}, ten, 181.368, 0.22969},
      {"zero SNR", zero_snr, ten, 50.5574, 0.064028},
      {"thresholding",
       {{"thresholding", true}, {"dynamic_thresholding_ratio", .87}, {"sample_max_value", 1.5}},
       ten,
       172.007,
       0.21784},
      {"alpha to one", {{"beta_start", .01}, {"set_alpha_to_one", true}}, ten, 149.8295, {}},
      {"alpha not to one", {{"beta_start", .01}, {"set_alpha_to_one", false}}, ten, 149.0784, {}},
  };
  for (const Row& row : rows) {
    const Tensor x = loop(*make_scheduler("ddim", row.config), row.options);
    EXPECT_NEAR(dummies::sum_abs(x), row.sum, 1e-5 * row.sum + 1e-6) << row.name;  // six digits are quoted
    if (row.probe) EXPECT_NEAR(dummies::probe(x), *row.probe, 2e-5) << row.name;
  }
}

TEST(Ddim, BeginsInTheMiddleForImageToImage) {
  const auto scheduler = make_scheduler("ddim");
  const StartOptions late{.steps = 10, .begin = 8};
  auto run = scheduler->start(late);
  EXPECT_THAT(dummies::timesteps_of(run), ElementsAre(100, 0));
  EXPECT_EQ(run.steps()[0].index, 8);
  const Tensor x = run.noised(dummies::sample(), dummies::noise());
  EXPECT_NEAR(dummies::sum_abs(loop(*scheduler, late, x, dummies::model)), 354.5418, 1e-2);  // diffusers' own tolerance
}

TEST(Ddim, ErrorFallsAtFirstOrderOnGaussianData) {
  constexpr double m = 0.3, s = 0.5;
  const auto scheduler = make_scheduler("ddim", {{"clip_sample", false}, {"timestep_spacing", "trailing"}});
  const auto abar = [&](const Tensor& t) {
    return static_cast<double>(scheduler->noise().alpha_bar(t.item<int64_t>()));
  };
  const auto eps = [&](const Tensor& x, const Tensor& t) {  // E[eps | x_t] for data N(m, s^2)
    return std::sqrt(1 - abar(t)) * (x - std::sqrt(abar(t)) * m) / (abar(t) * s * s + 1 - abar(t));
  };
  const Tensor start = at::linspace(-2, 2, 9, at::kDouble).reshape({1, 1, 1, 9});
  const double last = scheduler->noise().alpha_bar(999);
  const Tensor exact =
      m + s * (start - std::sqrt(last) * m) / std::sqrt(last * s * s + 1 - last);  // the ODE's solution
  std::vector<double> errors;
  for (const int64_t steps : {25, 50, 100, 200})
    errors.push_back((loop(*scheduler, {.steps = steps}, start, eps) - exact).abs().max().item<double>());
  EXPECT_LT(errors.back(), 0.02);
  for (size_t i = 1; i < errors.size(); ++i)
    EXPECT_NEAR(errors[i - 1] / errors[i], 2, 0.3) << i;  // order 1: half the step, half
}

TEST(Ddim, ExactNoiseGivesThePictureBack) {
  for (const char* spacing : {"leading", "linspace", "trailing"}) {
    const auto scheduler = make_scheduler("ddim", {{"timestep_spacing", spacing}});
    const Tensor x0 = at::rand({2, 3, 4, 4}) * 2 - 1;
    const auto exact = [&](const Tensor& x, const Tensor& t) {
      return scheduler->noise().eps_from(PredictionType::sample, x, x0, t.reshape({1}));
    };
    for (const int64_t steps : {1, 2, 50, 999, 1000})
      for (const double eta : {0.0, 1.0}) {
        const Tensor start = dummies::noise().slice(0, 0, 2).slice(2, 0, 4).slice(3, 0, 4);
        auto run = scheduler->start({.steps = steps, .eta = eta});
        Rng rng(0);
        Tensor x = start, seen;
        for (const Step& step : run.steps()) {
          auto result = run.step(x, exact(x, step.timestep), step, rng);
          x = result.prev_sample;
          seen = result.x0;
        }
        // at t = 999, sqrt(abar) = 0.006 amplifies the rounding of eps
        EXPECT_LT((seen - x0).abs().max().item<double>(), 1e-4) << spacing << " " << steps << " eta " << eta;
      }
  }
}

TEST(Ddim, EveryStepCountIsFinite) {
  for (const char* spacing : {"leading", "linspace", "trailing"})
    for (const int64_t steps : {1, 2, 3, 7, 499, 500, 501, 998, 999, 1000}) {
      const Json config{{"timestep_spacing", spacing},
                        {"steps_offset", 1},
                        {"rescale_betas_zero_snr", true},
                        {"prediction_type", "v_prediction"}};
      EXPECT_TRUE(loop(*make_scheduler("ddim", config), {.steps = steps, .eta = 1}).isfinite().all().item<bool>())
          << spacing << " " << steps;
    }
}

TEST(Ddim, CustomTimestepsLeadFromOneToTheNext) {
  const auto scheduler = make_scheduler("ddim");
  const StartOptions as_spaced{.timesteps = std::vector<double>{900, 800, 700, 600, 500, 400, 300, 200, 100, 0}};
  EXPECT_TRUE(loop(*scheduler, as_spaced).equal(loop(*scheduler, {.steps = 10})));
}

TEST(Ddim, DrawsOnlyWithEta) {
  const auto scheduler = make_scheduler("ddim");
  Rng used(3), fresh(3);
  auto run = scheduler->start({.steps = 2});
  for (const Step& step : run.steps()) run.next(dummies::sample(), dummies::sample(), step, used);
  EXPECT_TRUE(used.normal({4}).equal(fresh.normal({4})));
}

TEST(Ddim, IgnoresALearnedVariance) {
  const auto model = [](const Tensor& x, const Tensor& t) { return at::cat({dummies::model(x, t), x}, 1); };
  const auto scheduler = make_scheduler("ddim");
  EXPECT_TRUE(loop(*scheduler, {.steps = 10}, dummies::sample(), model).equal(loop(*scheduler, {.steps = 10})));
}

TEST(Ddim, RefusesAnEtaOutsideItsRange) {
  EXPECT_THROW(make_scheduler("ddim")->start({.eta = -0.1}), Error);
  EXPECT_THROW(make_scheduler("ddim")->start({.eta = 1.1}), Error);
}

}  // namespace
}  // namespace unnoise
