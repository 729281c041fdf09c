// Closed form: for Gaussian data the perfect denoiser and the path of the probability-flow ODE are known. A
// deterministic sampler's error must fall at its order; a stochastic one must end with the data's mean and variance.
#include <ATen/ops/linspace.h>
#include <ATen/ops/minimum.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/schedulers/closed_form.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

using closed_form::EpsNetwork;
using closed_form::Mixture;

enum class Scale { vp, ve };  // the sampler's x: alpha x0 + sigma eps, or x0 + sigma eps

struct OrderRow {
  std::string name;
  Json config;
  Scale scale;
  double order;
  // The schedulers' float32 coefficients leave about 1e-6 of error whatever the step; what counts lies above.
  double floor = 3e-6;
  bool at_least = false;  // falls faster than its order where we can measure
};

const Mixture kGaussian{{0.3}, 0.5};
// The run is judged at a quarter of the timesteps, where sigma = 1.3 is of the data's size: the last step to sigma = 0,
// first order by design, plays no part, and the first steps, where a multistep method has no history yet, lie where the
// picture hardly changes.
constexpr int64_t kWay = 1536, kMiddle = kWay / 4;

int64_t steps_to_middle(const Run& run) {
  int64_t found = -1;
  for (size_t i = 0; i < run.steps().size(); ++i)
    if (std::abs(run.steps()[i].timestep.item<double>() - static_cast<double>(kMiddle)) < 1e-3)
      found = static_cast<int64_t>(i);  // the last call there is where a stretch begins
  return found;
}

double error_in_the_middle(const OrderRow& row, int64_t steps) {
  Json config = row.config;
  const bool leading = config.value("timestep_spacing", "") == "leading";
  config["num_train_timesteps"] = leading ? kWay : kWay + 1;
  const auto scheduler = make_scheduler(row.name, config);
  const EpsNetwork network(kGaussian, scheduler->noise());
  auto run = scheduler->start({.steps = steps});
  const int64_t middle = steps_to_middle(run);
  if (middle < 0) throw std::runtime_error(row.name + " does not visit the middle");

  const auto level = [&](double t) { return network.sigma(t); };
  const auto scaled = [&](const Tensor& y, double sigma) {
    return row.scale == Scale::ve ? y : y / std::sqrt(1 + sigma * sigma);
  };
  const double first = level(run.steps()[0].timestep.item<double>());
  const Tensor y0 = (at::linspace(-2, 2, 64, at::kDouble) * first).reshape({1, 1, 8, 8});
  Rng rng(0);
  Tensor x = scaled(y0, first);
  for (int64_t i = 0; i < middle; ++i) {
    const Step& step = run.steps()[static_cast<size_t>(i)];
    x = run.next(x, network(run.input(x, step), step.timestep), step, rng);
  }
  const double sigma = level(static_cast<double>(kMiddle));
  const Tensor exact = scaled(kGaussian.flow(y0, first, sigma), sigma);
  return ((x - exact).abs().max() / exact.abs().max()).item<double>();
}

class Convergence : public testing::TestWithParam<OrderRow> {};

TEST_P(Convergence, ErrorFallsAtTheOrder) {
  const OrderRow& row = GetParam();
  constexpr double kCeiling = 3e-2;               // below it the leading term rules
  std::vector<std::pair<double, double>> points;  // log2 N, log2 error
  std::string seen;
  for (const int64_t steps : {12, 24, 48, 96, 192, 384}) {
    const double error = error_in_the_middle(row, steps);
    seen += fmt::format("{}: {:.2e}  ", steps, error);
    if (error > row.floor && error < kCeiling) points.emplace_back(std::log2(steps), std::log2(error));
  }
  ASSERT_GE(points.size(), 2u) << seen;
  // The finest pair: closest to the limit.
  const auto [n0, e0] = points[points.size() - 2];
  const auto [n1, e1] = points.back();
  const double order = (e0 - e1) / (n1 - n0);
  RecordProperty("order", std::to_string(order));
  std::printf("%s\n%-24s %-60s order %.2f (theory %g)\n", seen.c_str(), row.name.c_str(), row.config.dump().c_str(),
              order, row.order);
  // A float32 run carries a rounding of some 2e-7, which differs with the width of the processor's vectors.
  const double tolerance = 0.3 + 2e-7 / std::exp2(e1) / std::log(2.0);
  EXPECT_GT(order, row.order - tolerance) << seen;
  if (!row.at_least) {
    EXPECT_LT(order, row.order + tolerance) << seen;
  }
}

const Json kLeading{{"timestep_spacing", "leading"}};
const Json kFree{{"clip_sample", false}};
Json with(Json base, const Json& more) {
  base.update(more);
  return base;
}

Json plain_dpm(int order) {
  return {{"solver_order", order}, {"algorithm_type", "dpmsolver"}, {"final_sigmas_type", "sigma_min"}};
}

INSTANTIATE_TEST_SUITE_P(
    Samplers, Convergence,
    testing::Values(
        OrderRow{"ddim", with(kLeading, kFree), Scale::vp, 1}, OrderRow{"euler", kLeading, Scale::ve, 1},
        OrderRow{"heun", kLeading, Scale::ve, 2}, OrderRow{"kdpm2", kLeading, Scale::ve, 2},
        OrderRow{"edm_heun", {{"use_karras_sigmas", false}, {"timestep_spacing", "leading"}}, Scale::ve, 2},
        OrderRow{"lms", kLeading, Scale::ve, 4, 9e-7},
        OrderRow{"pndm", with(kLeading, {{"skip_prk_steps", true}}), Scale::vp, 2},
        OrderRow{"dpm_multistep", {{"solver_order", 1}}, Scale::vp, 1},
        OrderRow{"dpm_multistep", {{"solver_order", 2}}, Scale::vp, 2},
        OrderRow{"dpm_multistep", {{"solver_order", 2}, {"solver_type", "heun"}}, Scale::vp, 2},
        // diffusers' third order takes a divided difference for the second derivative, which is twice
        // that: what it gains is a smaller error, not an order (docs/samplers.md)
        OrderRow{"dpm_multistep", {{"solver_order", 3}}, Scale::vp, 2},
        OrderRow{"dpm_multistep", plain_dpm(2), Scale::vp, 2}, OrderRow{"dpm_multistep", plain_dpm(3), Scale::vp, 2},
        OrderRow{"dpm_singlestep", {{"solver_order", 2}}, Scale::vp, 2},
        OrderRow{"dpm_singlestep", {{"solver_order", 3}}, Scale::vp, 3},
        OrderRow{"unipc", {{"solver_order", 1}}, Scale::vp, 2}, OrderRow{"unipc", {{"solver_order", 2}}, Scale::vp, 3},
        OrderRow{"unipc", {{"solver_order", 3}}, Scale::vp, 4, 3e-6, true},
        OrderRow{"deis", {{"solver_order", 2}}, Scale::vp, 2}, OrderRow{"deis", {{"solver_order", 3}}, Scale::vp, 3}),
    [](const auto& info) { return info.param.name + std::to_string(info.index); });

struct NoisyRow {
  std::string name;
  Json config;
  StartOptions start;
};

class Stochastic : public testing::TestWithParam<NoisyRow> {};

TEST_P(Stochastic, EndsWithMeanAndVarianceOfTheData) {
  const NoisyRow& row = GetParam();
  const Mixture data{{-0.6, 0.8}, 0.2};
  const auto scheduler = make_scheduler(row.name, row.config);
  const EpsNetwork network(data, scheduler->noise());
  Rng rng(1);
  auto run = scheduler->start(row.start);
  Tensor x = run.first({4, 1, 128, 128}, rng);
  for (const Step& step : run.steps()) x = run.next(x, network(run.input(x, step), step.timestep), step, rng);

  const auto n = static_cast<double>(x.numel());
  const double mean = x.mean().item<double>(), variance = (x - data.mean()).square().mean().item<double>();
  // 5 standard deviations of a sample of n, and 1 % of the variance for the steps' own error at this N.
  EXPECT_NEAR(mean, data.mean(), 5 * std::sqrt(data.variance() / n) + 0.01);
  EXPECT_NEAR(variance, data.variance(),
              5 * std::sqrt((data.fourth_moment() - data.variance() * data.variance()) / n) + 0.01 * data.variance());
}

INSTANTIATE_TEST_SUITE_P(
    Samplers, Stochastic,
    testing::Values(NoisyRow{"ddpm", kFree, {.steps = 1000}}, NoisyRow{"ddim", kFree, {.steps = 500, .eta = 1}},
                    NoisyRow{"euler_ancestral", {}, {.steps = 500}}, NoisyRow{"kdpm2_ancestral", {}, {.steps = 200}},
                    NoisyRow{"dpm_sde", {}, {.steps = 100}}, NoisyRow{"dpm_2s_ancestral", {}, {.steps = 200}},
                    NoisyRow{"dpm_3m_sde", {}, {.steps = 300}}, NoisyRow{"edm_heun", {}, {.steps = 100, .s_churn = 20}},
                    NoisyRow{"restart", {{"restart_steps", 20}}, {.steps = 100}},
                    NoisyRow{"dpm_multistep", {{"algorithm_type", "sde-dpmsolver++"}}, {.steps = 500}},
                    NoisyRow{"sa_solver", {}, {.steps = 200}}),
    [](const auto& info) { return info.param.name + std::to_string(info.index); });

// The methods that choose their steps themselves: the error follows the tolerance.
TEST(Adaptive, TheErrorFollowsTheTolerance) {
  for (const std::string name : {"dopri5", "dpm_adaptive"}) {
    double last = 1;
    size_t calls = 0;
    for (const double tolerance : {1e-2, 1e-3, 1e-4}) {
      const auto scheduler = make_scheduler(name);
      const EpsNetwork network(kGaussian, scheduler->noise());
      auto run = scheduler->start({.rtol = tolerance, .atol = tolerance});
      const double first = run.sigmas().front();
      const Tensor y0 = (at::linspace(-2, 2, 64, at::kFloat) * first).reshape({1, 1, 8, 8});
      Rng rng(0);
      Tensor x = y0;
      for (const Step& step : run.steps()) x = run.next(x, network(run.input(x, step), step.timestep), step, rng);
      const Tensor exact = kGaussian.flow(y0, first, 0);
      const double error = ((x - exact).abs().max() / exact.abs().max()).item<double>();
      EXPECT_LT(error, 10 * tolerance) << name;  // the tolerance is one step's estimate; 5 to 15 steps add up
      EXPECT_LE(error, last) << name;
      EXPECT_GE(run.steps().size(), calls) << name;
      last = error;
      calls = run.steps().size();
      std::printf("%s tolerance %g: error %g with %zu calls\n", name.c_str(), tolerance, error, calls);
    }
  }
}

TEST(Adaptive, MixturesEndOnTheirPeaks) {
  const Mixture data{{-0.6, 0.8}, 0.02};
  for (const std::string name : {"dopri5", "dpm_adaptive"}) {
    const auto scheduler = make_scheduler(name);
    const EpsNetwork network(data, scheduler->noise());
    Rng rng(3);
    auto run = scheduler->start({});
    Tensor x = run.first({2, 1, 64, 64}, rng);
    for (const Step& step : run.steps()) x = run.next(x, network(run.input(x, step), step.timestep), step, rng);
    EXPECT_NEAR(x.mean().item<double>(), data.mean(), 5 * std::sqrt(data.variance() / 8192)) << name;
    const Tensor off = at::minimum((x + 0.6).abs(), (x - 0.8).abs());
    EXPECT_LT(off.gt(0.12).to(at::kFloat).mean().item<double>(), 0.01) << name;  // six standard deviations from a peak
  }
}

}  // namespace
}  // namespace unnoise
