// DPM-Solver and its kin against closed forms, and what they refuse.
#include <ATen/TensorOperators.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/rand.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dummies.h"
#include "unnoise/core/error.h"
#include "unnoise/schedulers/exponential_adams.h"

namespace unnoise {
namespace {

using dummies::loop;

constexpr const char* kDeterministic[] = {"dpm_multistep", "dpm_singlestep", "unipc", "deis", "res_multistep"};

TEST(ExponentialAdams, IntegratesPolynomialsExactly) {
  // int e^u u^2 du = e^u (u^2 - 2u + 2), of a short stretch and of a long one
  const auto primitive = [](double u) { return std::exp(u) * (u * u - 2 * u + 2); };
  for (const double to : {-0.4999, 0.0, 3.0}) {
    const std::vector<double> nodes{-0.5, -0.9, -2};
    const auto weights = exponential_adams_weights(nodes, -0.5, to, 1);
    double sum = 0;
    for (size_t k = 0; k < nodes.size(); ++k) sum += weights[k] * nodes[k] * nodes[k];
    EXPECT_NEAR(sum / (primitive(to) - primitive(-0.5)), 1, 1e-11) << to;
  }
}

TEST(ResMultistep, IsExactWhereThePredictedPictureStays) {
  const Tensor x0 = at::full_like(dummies::sample(), 0.3).to(at::kDouble);
  for (const char* grid : {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas"}) {
    const Json config{{"prediction_type", "sample"}, {grid, true}, {"final_sigmas_type", "sigma_min"}};
    const auto scheduler = make_scheduler("res_multistep", config);
    for (const int64_t steps : {1, 2, 7}) {
      const auto run = scheduler->start({.steps = steps});
      const Tensor eps = dummies::noise().to(at::kDouble), x = run.noised(x0, eps);
      const double last = run.sigmas().back(), alpha = 1 / std::sqrt(1 + last * last);
      const Tensor end = loop(*scheduler, {.steps = steps}, x, [&](const Tensor&, const Tensor&) { return x0; });
      EXPECT_LT((end - alpha * (x0 + last * eps)).abs().max().item<double>(), 1e-5) << grid << steps;
    }
  }
}

/// Errors at the end of the ODE for pictures of N(0.3, 0.5^2), whose x0 is known at each level, for each number of
/// steps.
std::vector<double> gaussian_errors(const char* sampler, int64_t order, const std::vector<int64_t>& steps) {
  constexpr double m = 0.3, s = 0.5;
  const auto scheduler = make_scheduler(sampler, {{"prediction_type", "sample"},
                                                  {"solver_order", order},
                                                  {"use_exponential_sigmas", true},
                                                  {"lower_order_final", false},
                                                  {"final_sigmas_type", "sigma_min"}});
  std::vector<double> errors;
  for (const int64_t n : steps) {
    Rng rng(0);
    auto run = scheduler->start({.steps = n});
    const auto sigmas = run.sigmas();
    const auto alpha = [](double sigma) { return 1 / std::sqrt(1 + sigma * sigma); };
    const Tensor start = at::linspace(-2, 2, 9, at::kDouble).reshape({1, 1, 1, 9});
    Tensor x = start;
    for (const Step& step : run.steps()) {
      const double sigma = sigmas[static_cast<size_t>(step.index)], data = s * s + sigma * sigma;
      x = run.next(x, m + s * s / data * (x / alpha(sigma) - m), step, rng);
    }
    const double first = sigmas.front(), last = sigmas.back();
    const Tensor exact =
        alpha(last) * (m + std::sqrt((s * s + last * last) / (s * s + first * first)) * (start / alpha(first) - m));
    errors.push_back((x - exact).abs().max().item<double>());
  }
  return errors;
}

TEST(ResMultistep, ErrorFallsAtItsOrder) {
  for (const int64_t order : {1, 2, 3}) {  // at these steps, that of order 3 still falls faster
    const auto errors = gaussian_errors("res_multistep", order, {40, 80, 160});
    for (size_t i = 1; i < errors.size(); ++i)
      EXPECT_NEAR(std::log2(errors[i - 1] / errors[i]), static_cast<double>(order), order < 3 ? 0.35 : 1.2) << order;
  }
}

TEST(DpmSolvers, ExactNoiseGivesThePictureBack) {
  const Tensor x0 = at::rand({2, 3, 4, 4}) * 2 - 1, eps = dummies::noise().slice(0, 0, 2).slice(2, 0, 4).slice(3, 0, 4);
  for (const char* sampler : kDeterministic)
    for (const int64_t steps : {1, 2, 3, 20, 999, 1000}) {
      const auto scheduler =
          make_scheduler(sampler, {{"beta_schedule", "scaled_linear"}, {"beta_start", .00085}, {"beta_end", .012}});
      auto run = scheduler->start({.steps = steps});
      Rng rng(0);
      Tensor x = run.noised(x0, eps), seen;
      for (const Step& step : run.steps()) {
        auto result = run.step(x, eps, step, rng);
        x = result.prev_sample;
        seen = result.x0;
      }
      EXPECT_LT((seen - x0).abs().max().item<double>(), 2e-3) << sampler << " " << steps;
    }
}

TEST(DpmSolvers, RepeatedTimestepsLeaveThePictureInPlace) {  // 0 / 0 in diffusers
  for (const char* sampler : {"dpm_multistep", "dpm_singlestep", "unipc", "deis", "sa_solver", "res_multistep"})
    for (const int64_t order : {1, 2, 3}) {
      const auto scheduler = make_scheduler(sampler, {{"solver_order", order}});
      EXPECT_EQ(scheduler->start({.steps = 1000}).steps().size(), 1000u);
      EXPECT_TRUE(loop(*scheduler, {.steps = 1000}).isfinite().all().item<bool>()) << sampler << order;
    }
}

TEST(DpmSolvers, TakeTheNamesOfEachOthersMethods) {
  const auto deis =
      make_scheduler("deis", {{"algorithm_type", "deis"}, {"solver_type", "logrho"}, {"solver_order", 3}});
  const auto dpm = make_scheduler("dpm_multistep", *deis);
  EXPECT_EQ(dpm->config()["algorithm_type"], "dpmsolver++");
  EXPECT_EQ(dpm->config()["solver_type"], "midpoint");
  EXPECT_EQ(dpm->config()["solver_order"], 3);
  EXPECT_EQ(make_scheduler("unipc", *dpm)->config()["solver_type"], "bh2");
  EXPECT_EQ(make_scheduler("deis", *dpm)->config()["algorithm_type"], "deis");
  EXPECT_EQ(make_scheduler("sa_solver", *dpm)->config()["algorithm_type"], "data_prediction");
}

TEST(DpmSolvers, RefuseWhatCannotBe) {
  const double nan = std::nan("");
  const std::vector<std::pair<const char*, Json>> configs{
      {"dpm_multistep", {{"solver_order", 0}}},
      {"dpm_multistep", {{"solver_order", 4}}},
      {"dpm_multistep", {{"algorithm_type", "dpmsolver"}}},  // to sigma = 0
      {"dpm_multistep", {{"algorithm_type", "euler"}}},
      {"dpm_multistep", {{"use_karras_sigmas", true}, {"use_lu_lambdas", true}}},
      {"dpm_multistep", {{"use_karras_sigmas", true}, {"use_flow_sigmas", true}}},
      {"dpm_multistep", {{"prediction_type", "flow_prediction"}}},
      {"dpm_multistep", {{"prediction_type", "v_prediction"}, {"use_flow_sigmas", true}}},
      {"dpm_multistep", {{"lambda_min_clipped", nan}}},
      {"dpm_multistep", {{"flow_shift", 0}, {"use_flow_sigmas", true}}},
      {"dpm_multistep", {{"time_shift_type", "linear"}}},
      {"dpm_singlestep", {{"algorithm_type", "sde-dpmsolver"}}},
      {"unipc", {{"solver_p", "ddim"}}},
      {"unipc", {{"shift_terminal", 0.1}}},
      {"unipc", {{"sigma_min", 2}, {"sigma_max", 1}}},
      {"deis", {{"algorithm_type", "ddim"}}},
      {"sa_solver", {{"corrector_order", 5}}},
      {"sa_solver", {{"tau_func", "one"}}},
      {"edm_euler", {{"sigma_min", 0}}},
      {"edm_euler", {{"prediction_type", "sample"}}},
      {"edm_dpm_multistep", {{"algorithm_type", "dpmsolver"}}},
      {"cosine_dpm_multistep", {{"solver_order", 3}}},
      {"cosine_dpm_multistep", {{"sigma_max", nan}}},
  };
  for (const auto& [sampler, config] : configs)
    EXPECT_THROW(make_scheduler(sampler, config), Error) << sampler << config;

  const auto refuses = [](const char* sampler, const Json& config, const StartOptions& options) {
    EXPECT_THROW(make_scheduler(sampler, config)->start(options), Error) << sampler << config;
  };
  const std::vector<double> timesteps{900, 100}, rising{0.2, 0.9}, falling{0.9, 0.2};
  const Json flow{{"use_flow_sigmas", true}, {"prediction_type", "flow_prediction"}};
  for (const char* sampler : {"dpm_multistep", "dpm_singlestep", "unipc", "deis", "sa_solver"}) {
    refuses(sampler, {}, {.steps = 0});
    refuses(sampler, {}, {.steps = 1001});
    refuses(sampler, {}, {.steps = 10, .begin = 10});
    refuses(sampler, {}, {.steps = 10, .sigmas = falling});
    refuses(sampler, {{"trained_betas", {0.1, 1.0}}, {"num_train_timesteps", 2}}, {.steps = 2});  // pure noise
  }
  refuses("dpm_multistep", {{"use_karras_sigmas", true}}, {.timesteps = timesteps});
  refuses("dpm_multistep", {}, {.timesteps = std::vector<double>{100, 900}});
  refuses("dpm_multistep", {{"lambda_min_clipped", 100}}, {.steps = 10});
  refuses("unipc", flow, {.sigmas = rising});
  refuses("unipc", flow, {.sigmas = std::vector<double>{0}});
  refuses("unipc", {{"use_flow_sigmas", true}, {"use_dynamic_shifting", true}}, {.steps = 10});  // without mu
  refuses("edm_euler", {}, {.steps = 0});
  refuses("edm_euler", {}, {.sigmas = rising});
}

TEST(EdmEuler, TakesNoiseLevelsOfTheUser) {
  const std::vector<double> sigmas{80, 10, 1, 0};
  const auto run = make_scheduler("edm_euler")->start({.sigmas = sigmas});
  EXPECT_EQ(run.sigmas(), sigmas);
  EXPECT_EQ(run.steps().size(), 3u);
}

TEST(CosineDpmMultistep, ItsNoiseIsTheSeedsAndNotTheStreams) {
  const auto scheduler = make_scheduler("cosine_dpm_multistep");
  const auto run_with = [&](uint64_t seed, int64_t skipped) {
    Rng rng(seed);
    rng.normal({skipped + 1});
    auto run = scheduler->start({.steps = 5});
    Tensor x = dummies::sample() * 500;
    for (const Step& step : run.steps()) x = run.next(x, dummies::model(run.input(x, step), step.timestep), step, rng);
    return x;
  };
  EXPECT_TRUE(run_with(3, 0).equal(run_with(3, 9)));
  EXPECT_FALSE(run_with(3, 0).equal(run_with(4, 0)));
}

}  // namespace
}  // namespace unnoise
