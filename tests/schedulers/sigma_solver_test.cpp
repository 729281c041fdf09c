// What the k-diffusion family promises: identities, draws and errors.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "closed_form.h"
#include "dummies.h"
#include "unnoise/core/error.h"
#include "unnoise/schedulers/brownian_tree.h"
#include "unnoise/schedulers/sigma_grids.h"

namespace unnoise {
namespace {

using dummies::loop;
using ::testing::ElementsAre;

const std::vector<const char*> all{
    "euler",    "euler_ancestral",  "heun",       "lms",    "kdpm2", "kdpm2_ancestral", "dpm_sde",
    "edm_heun", "dpm_2s_ancestral", "dpm_3m_sde", "restart"};

TEST(SigmaSolver, ExactNoiseGivesThePictureBack) {
  const Tensor x0 = dummies::sample() * 2 - 1, eps = dummies::noise();
  for (const char* name : all)
    for (const char* type : {"epsilon", "sample", "v_prediction"})
      for (const int64_t begin : {0, 4, 18}) {
        const auto scheduler = make_scheduler(name, {{"prediction_type", type}});
        if (begin == 18 && scheduler->start({.steps = 10}).steps().size() < 19) continue;
        auto run = scheduler->start({.steps = 10, .begin = begin});
        const Step& step = run.steps().front();
        const Tensor x = run.noised(x0, eps), scaled = run.input(x, step);
        const double alpha = (scaled / x).flatten()[5].item<double>(), sigma = std::sqrt(1 - alpha * alpha);
        const auto kind = scheduler->prediction_type;
        const Tensor output = kind == PredictionType::epsilon  ? eps
                              : kind == PredictionType::sample ? x0
                                                               : alpha * eps - sigma * x0;
        EXPECT_LT((run.x0(x, output, step) - x0).abs().max().item<double>(), 2e-4)
            << name << " " << type << " " << begin;
      }
}

TEST(SigmaSolver, DeterministicMethodsDrawNothing) {
  for (const char* name : {"euler", "heun", "lms", "kdpm2", "edm_heun"}) {
    Rng used(3), fresh(3);
    auto run = make_scheduler(name)->start({.steps = 4});
    for (const Step& step : run.steps()) run.next(dummies::sample(), dummies::sample(), step, used);
    EXPECT_TRUE(used.normal({4}).equal(fresh.normal({4}))) << name;
  }
}

TEST(SigmaSolver, ARunBeginsWithAStretch) {
  for (const char* name : {"heun", "kdpm2", "kdpm2_ancestral", "dpm_sde", "edm_heun", "dpm_2s_ancestral"}) {
    const auto scheduler = make_scheduler(name);
    EXPECT_EQ(scheduler->start({.steps = 10, .begin = 3}).steps().front().index, 4) << name;
    EXPECT_EQ(scheduler->start({.steps = 10, .begin = 18}).steps().size(), 1u) << name;
    EXPECT_THROW(scheduler->start({.steps = 10, .begin = 19}), Error) << name;
    EXPECT_THROW(scheduler->start({.steps = 10, .begin = -1}), Error) << name;
  }
}

TEST(SigmaSolver, MoreStepsThanTimestepsLieBetweenThem) {
  auto run = make_scheduler("euler", {{"num_train_timesteps", 20}})->start({.steps = 50});
  EXPECT_EQ(run.steps().size(), 50u);
  for (size_t i = 1; i < 50; ++i)
    EXPECT_LT(run.steps()[i].timestep.item<double>(), run.steps()[i - 1].timestep.item<double>());
}

TEST(Lms, BeginsInTheMiddleWithEulersStep) {
  const Tensor x = dummies::sample(), output = dummies::noise();
  Rng rng(0);
  const auto first = [&](const char* name, StartOptions options) {
    auto run = make_scheduler(name)->start(options);
    return run.next(x, output, run.steps().front(), rng);
  };
  EXPECT_TRUE(first("lms", {.steps = 10, .begin = 5}).allclose(first("euler", {.steps = 10, .begin = 5}), 1e-5, 1e-6));
  EXPECT_TRUE(loop(*make_scheduler("lms"), {.steps = 10, .order = 1})
                  .allclose(loop(*make_scheduler("euler"), {.steps = 10}), 1e-4, 1e-5));
}

TEST(Lms, IntegratesPolynomialsExactly) {
  // x0 = x - sigma * slope with slope = sigma^3: the fourth order method is exact on all but the first three steps.
  const auto scheduler = make_scheduler("lms", {{"prediction_type", "epsilon"}, {"use_karras_sigmas", true}});
  auto run = scheduler->start({.steps = 12, .order = 4});
  const auto sigmas = run.sigmas();
  Rng rng(0);
  Tensor x = at::linspace(-1, 1, 4, at::kDouble).reshape({1, 1, 2, 2});
  for (const Step& step : run.steps()) {
    const auto i = static_cast<size_t>(step.index);
    const double from = sigmas[i] / sigmas[0], to = sigmas[i + 1] / sigmas[0];
    const Tensor next = run.next(x, at::zeros_like(x) + from * from * from, step, rng);
    const double exact = (std::pow(to, 4) - std::pow(from, 4)) / 4 * sigmas[0];
    if (i >= 3) EXPECT_NEAR(((next - x).sum().item<double>()) / 4, exact, 1e-9) << i;
    x = next;
  }
}

TEST(EdmHeun, WithoutChurnIsHeun) {
  const Json config{{"beta_start", 1e-4}, {"beta_end", 0.02}, {"use_karras_sigmas", true}};
  const StartOptions options{.steps = 9};
  const Tensor x = dummies::noise() * 157;
  EXPECT_TRUE(loop(*make_scheduler("edm_heun", config), options, x, dummies::model)
                  .allclose(loop(*make_scheduler("heun", config), options, x, dummies::model), 1e-4, 1e-5));
}

TEST(EdmHeun, NoiseComesBeforeTheNetworkIsCalled) {
  const auto scheduler = make_scheduler("edm_heun");
  auto quiet = scheduler->start({.steps = 5}), noisy = scheduler->start({.steps = 5, .s_churn = 2, .s_noise = 1.1});
  Rng a(1), b(1), again(1);
  const Tensor x = quiet.first({1, 3, 8, 8}, a), lifted = noisy.first({1, 3, 8, 8}, b);
  again.normal({1, 3, 8, 8});
  const double sigma = quiet.sigmas()[0], sigma_hat = noisy.sigmas()[0];
  EXPECT_NEAR(sigma_hat, sigma * 1.4, 1e-3);
  const Tensor fresh = again.normal({1, 3, 8, 8}) * (1.1 * std::sqrt(sigma_hat * sigma_hat - sigma * sigma));
  EXPECT_TRUE(lifted.allclose(x + fresh, 1e-5, 1e-4));
}

TEST(EdmHeun, KarrasGridYieldsToAnotherOne) {
  EXPECT_EQ(make_scheduler("edm_heun", {{"use_exponential_sigmas", true}})->config()["use_karras_sigmas"], false);
  EXPECT_EQ(make_scheduler("edm_heun")->config()["use_karras_sigmas"], true);
  EXPECT_THROW(make_scheduler("edm_heun", {{"use_exponential_sigmas", true}, {"use_karras_sigmas", true}}), Error);
}

TEST(Restart, WithoutRestartsIsHeun) {
  const StartOptions options{.steps = 9};
  EXPECT_TRUE(loop(*make_scheduler("restart", {{"restart_count", 0}}), options)
                  .allclose(loop(*make_scheduler("edm_heun"), options), 1e-5, 1e-6));
}

TEST(Restart, GoesBackUpAsOftenAsAsked) {
  const auto scheduler = make_scheduler("restart", {{"restart_count", 3}, {"restart_steps", 5}});
  auto run = scheduler->start({.steps = 18});
  EXPECT_EQ(run.steps().size(), 35u + 2 * 3 * 5);
  const auto sigmas = run.sigmas();
  int ups = 0;
  for (size_t i = 1; i < sigmas.size(); ++i)
    if (sigmas[i] > sigmas[i - 1]) {
      ++ups;
      EXPECT_NEAR(sigmas[i], 2, 1e-6);
    }
  EXPECT_EQ(ups, 3);
  Rng used(3), fresh(3);
  for (const Step& step : run.steps()) run.next(dummies::sample(), dummies::sample(), step, used);
  for (int i = 0; i < ups; ++i) fresh.normal_like(dummies::sample());
  EXPECT_TRUE(used.normal({4}).equal(fresh.normal({4})));
}

/// Largest error at the end of the probability-flow path of N(0.3, 0.5^2), by the number of steps.
std::vector<double> errors(const char* name, const StartOptions& options, double from,
                           const std::vector<int64_t>& steps) {
  const closed_form::Mixture data{{0.3}, 0.5};
  const auto scheduler = make_scheduler(name);
  const closed_form::EpsNetwork network(data, scheduler->noise());
  const Tensor start = at::linspace(-2 * from, 2 * from, 9, at::kDouble).reshape({1, 1, 1, 9});
  std::vector<double> out;
  for (const int64_t n : steps) {
    StartOptions with_sigmas = options;
    with_sigmas.sigmas = exponential_sigmas(0.05, from, n + 1);  // down to 0.05: the step to 0 is of first order
    const Tensor exact = data.flow(start, from, 0.05);
    out.push_back((loop(*scheduler, with_sigmas, start, network) - exact).abs().max().item<double>());
  }
  return out;
}

TEST(KDiffusion, ErrorFallsAtTheOrderOfTheMethod) {
  const auto order = [](const std::vector<double>& e) {
    return std::log2(e.front() / e.back()) / static_cast<double>(e.size() - 1);
  };
  EXPECT_NEAR(order(errors("edm_heun", {}, 20, {20, 40, 80})), 2, 0.35);
  EXPECT_NEAR(order(errors("dpm_2s_ancestral", {.eta = 0}, 20, {20, 40, 80})), 2, 0.35);
  // from where the two steps of lower order that it begins with do no harm
  EXPECT_NEAR(order(errors("dpm_3m_sde", {.eta = 0}, 150, {80, 160, 320})), 3, 0.5);
}

TEST(Dpm2sAncestral, WithoutNoiseIsTheMidpointMethod) {
  const Tensor x = dummies::noise() * 10, at_start = dummies::sample(), at_middle = dummies::noise() - 0.5;
  auto run = make_scheduler("dpm_2s_ancestral", {{"prediction_type", "sample"}})
                 ->start({.sigmas = std::vector<double>{10, 2.5}, .eta = 0});
  Rng rng(0);
  const Tensor middle = run.next(x, at_start, run.steps()[0], rng),
               end = run.next(middle, at_middle, run.steps()[1], rng);
  EXPECT_TRUE(middle.allclose(0.5 * x + 0.5 * at_start, 1e-5, 1e-6));  // sigma 5, e^-h/2 = 1/2
  EXPECT_TRUE(end.allclose(0.25 * x + 0.75 * at_middle, 1e-5, 1e-6));  // DPM-Solver++ 2022, algorithm 1
}

TEST(SeedSequence, IsNumPys) {
  EXPECT_THAT(SeedSequence(0).words(3), ElementsAre(4025752534u, 2687548107u, 2326983537u));
  EXPECT_THAT(SeedSequence((1ull << 40) + 3).words(3), ElementsAre(1141977856u, 379400112u, 2541147225u));
  EXPECT_THAT(SeedSequence(7).child_words({5, 3}, 4), ElementsAre(1167487741u, 594211726u, 3626736891u, 2420502566u));
  EXPECT_THAT(SeedSequence(7).child_words({(1ull << 33) + 1, 34}, 2), ElementsAre(2322157917u, 469689532u));
}

TEST(BrownianTree, IsTorchsdes) {
  BrownianTree tree(0.029167, 14.6146, {2}, 3);
  const auto expect = [&](double a, double b, double first, double second) {
    const Tensor w = tree.increment(a, b);
    EXPECT_NEAR(w[0].item<double>(), first, 2e-6) << a;
    EXPECT_NEAR(w[1].item<double>(), second, 2e-6) << a;
  };
  expect(0.029167, 14.6146, -1.21927500, 1.67702758);
  expect(1.0, 2.0, 0.85491031, 0.63035500);
  expect(0.5, 1.25, -0.21682130, -0.14908203);
  expect(3.3333333, 3.4, -0.38175535, -0.01486364);
  expect(1.0, 2.0, 0.85491031, 0.63035500);  // whatever was asked before
}

TEST(BrownianTree, StretchesAddUp) {
  BrownianTree tree(0, 4, {5}, 1);
  const Tensor sum = tree.increment(0.3, 1.7) + tree.increment(1.7, 3.2);
  EXPECT_TRUE(sum.allclose(tree.increment(0.3, 3.2), 1e-4, 1e-5));
  EXPECT_TRUE(tree.increment(2, 2).equal(at::zeros({5})));
  EXPECT_TRUE(tree.increment(-7, 0).equal(at::zeros({5})));
}

TEST(DpmSde, APictureDoesNotDependOnItsBatchWithASeedEach) {
  const auto draw = [](const std::vector<uint64_t>& seeds) {
    Rng rng = Rng::per_image(seeds);
    auto run = make_scheduler("dpm_sde")->start({.steps = 4});
    Tensor x = run.first({static_cast<int64_t>(seeds.size()), 3, 4, 4}, rng);
    for (const Step& step : run.steps()) x = run.next(x, dummies::model(run.input(x, step), step.timestep), step, rng);
    return x;
  };
  EXPECT_TRUE(draw({5, 6}).allclose(at::cat({draw({5}), draw({6})}), 1e-5, 1e-6));
}

TEST(SigmaSolver, RefusesWhatCannotBe) {
  const auto start = [](const char* name, const Json& config, StartOptions options = {}) {
    return [=] { make_scheduler(name, config)->start(options); };
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  using List = std::vector<double>;
  EXPECT_THROW(start("euler", {{"use_karras_sigmas", true}, {"use_beta_sigmas", true}})(), Error);
  EXPECT_THROW(start("euler", {{"prediction_type", "flow_prediction"}})(), Error);
  EXPECT_THROW(start("euler", {{"steps_offset", -1}})(), Error);
  EXPECT_THROW(start("euler", {{"trained_betas", {0.5, 1.0}}, {"num_train_timesteps", 2}}, {.steps = 1})(), Error);
  EXPECT_THROW(start("euler", {{"use_karras_sigmas", true}, {"sigma_min", 9.0}, {"sigma_max", 2.0}})(), Error);
  EXPECT_THROW(start("euler", {{"use_karras_sigmas", true}}, {.timesteps = List{9, 0}})(), Error);
  EXPECT_THROW(start("euler", {}, {.timesteps = List{9, 20}})(), Error);
  EXPECT_THROW(start("euler", {}, {.timesteps = List{1000}})(), Error);
  EXPECT_THROW(start("euler", {}, {.timesteps = List{nan}})(), Error);
  EXPECT_THROW(start("euler", {}, {.timesteps = List{}})(), Error);
  EXPECT_THROW(start("euler", {}, {.sigmas = List{1}})(), Error);
  EXPECT_THROW(start("euler", {}, {.sigmas = List{1, 2, 0}})(), Error);
  EXPECT_THROW(start("euler", {}, {.sigmas = List{1, 0, 0}})(), Error);
  EXPECT_THROW(start("euler", {}, {.sigmas = List{nan, 0}})(), Error);
  EXPECT_THROW(start("euler", {}, {.timesteps = List{5}, .sigmas = List{1, 0}})(), Error);
  EXPECT_THROW(start("euler", {}, {.s_churn = -1})(), Error);
  EXPECT_THROW(start("euler", {}, {.s_tmax = nan})(), Error);
  EXPECT_THROW(start("euler", {}, {.s_noise = nan})(), Error);
  EXPECT_THROW(start("euler", {}, {.steps = 0})(), Error);
  EXPECT_THROW(start("euler", {{"timestep_spacing", "leading"}}, {.steps = 1001})(), Error);
  EXPECT_THROW(start("euler", {{"num_train_timesteps", 1}}, {.steps = 2})(), Error);
  EXPECT_NO_THROW(start("euler", {{"num_train_timesteps", 1}}, {.steps = 1})());
  EXPECT_THROW(start("lms", {}, {.order = 0})(), Error);
  EXPECT_THROW(start("dpm_sde", {{"noise_sampler_seed", -1}})(), Error);
  EXPECT_THROW(start("dpm_2s_ancestral", {}, {.eta = 1.5})(), Error);
  EXPECT_THROW(start("dpm_3m_sde", {}, {.eta = nan})(), Error);
  EXPECT_THROW(start("edm_heun", {{"rho", 0.0}})(), Error);
  EXPECT_THROW(start("restart", {{"restart_steps", 0}})(), Error);
  EXPECT_THROW(start("restart", {{"restart_sigma_min", 3.0}})(), Error);
  EXPECT_THROW(start("karras_ve", {{"sigma_min", 0.0}})(), Error);
  EXPECT_THROW(start("karras_ve", {}, {.steps = 0})(), Error);
}

TEST(SigmaSolver, OneStepAndOneTimestepAreFinite) {
  for (const char* name : all)
    for (const int64_t train : {1, 2, 1000}) {
      const auto scheduler = make_scheduler(name, {{"num_train_timesteps", train}});
      EXPECT_TRUE(loop(*scheduler, {.steps = 1}).isfinite().all().item<bool>()) << name << " " << train;
    }
  EXPECT_TRUE(loop(*make_scheduler("karras_ve"), {.steps = 1}).isfinite().all().item<bool>());
}

}  // namespace
}  // namespace unnoise
