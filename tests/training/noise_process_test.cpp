#include "unnoise/training/noise_process.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/scheduler.h"

namespace unnoise {
namespace {

struct NamedProcess {
  std::string name;
  std::shared_ptr<const NoiseProcess> process;
  Tensor level;
};

std::vector<NamedProcess> every_process() {
  const Tensor t = at::tensor({5, 300, 900}, at::kLong), s = at::tensor({0.1f, 0.5f, 0.9f}),
               sigma = at::tensor({0.05f, 0.5f, 20.0f});
  std::vector<NamedProcess> all;
  for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction})
    all.push_back({std::string(enum_name(type)), table_process(NoiseSchedule(), type), t});
  all.push_back({"edm", edm_process(0.5), sigma});
  all.push_back({"flow", flow_process(), s});
  return all;
}

double largest(const Tensor& x) { return x.abs().max().item<double>(); }

TEST(NoiseProcess, GivesThePictureBackForTheExactAnswer) {
  for (const auto& [name, process, level] : every_process()) {
    const Tensor x0 = at::randn({3, 1, 4, 4}), eps = at::randn({3, 1, 4, 4});
    const Tensor xt = process->add_noise(x0, eps, level);
    // Float32; at t = 900 eps is divided by alpha = 0.02.
    EXPECT_LE(largest(process->x0(xt, process->target(x0, eps, level), level) - x0), 2e-5) << name;
  }
}

TEST(NoiseProcess, GainIsTheRatioOfTheTwoErrors) {
  for (const auto& [name, process, level] : every_process()) {
    const Tensor x0 = at::randn({3, 1, 4, 4}), eps = at::randn({3, 1, 4, 4});
    const Tensor xt = process->add_noise(x0, eps, level), answer = process->target(x0, eps, level);
    const Tensor error = 0.1 * at::randn({3, 1, 4, 4});
    const Tensor of_x0 = process->x0(xt, answer + error, level) - x0;
    const Tensor ratio = error.square().flatten(1).sum(1) / of_x0.square().flatten(1).sum(1);
    const Tensor gain = process->gain(level);
    EXPECT_LE(largest(ratio / gain - 1), 2e-3) << name;  // the error of x0 at t = 5 is a small difference in float32
  }
}

TEST(NoiseProcess, SnrIsThatOfThePicture) {
  for (const auto& [name, process, level] : every_process()) {
    const Tensor zero = at::zeros({3, 1, 1, 1}), one = zero + 1;
    const Tensor alpha = process->add_noise(one, zero, level), sigma = process->add_noise(zero, one, level);
    EXPECT_LE(largest((alpha / sigma).square().flatten() / process->snr(level) - 1), 1e-4) << name;
  }
}

// EDM's samplers undo what the process does: a network that answers exactly lets each step find x0.
TEST(NoiseProcess, AgreesWithTheSamplersOfItsKind) {
  const struct {
    const char* scheduler;
    std::shared_ptr<const NoiseProcess> process;
  } cases[] = {{"edm_euler", edm_process(0.5)}, {"flow_euler", flow_process()}};
  for (const auto& [name, process] : cases) {
    const auto scheduler = make_scheduler(name);
    auto run = scheduler->start({.steps = 10});
    const auto sigmas = run.sigmas();
    const Tensor x0 = at::randn({1, 1, 4, 4}), eps = at::randn({1, 1, 4, 4});
    for (const Step& step : run.steps()) {
      const Tensor level = at::tensor({static_cast<float>(sigmas[static_cast<size_t>(step.index)])});
      const Tensor xt = process->add_noise(x0, eps, level);
      EXPECT_LE(largest(run.input(xt, step) - process->input(xt, level)), 1e-5) << name;
      EXPECT_NEAR(step.timestep.item<double>(), process->timesteps(level).item<double>(), 1e-4) << name;
      const Tensor seen = run.x0(xt, process->target(x0, eps, level), step);
      EXPECT_LE(largest(seen - x0), 1e-4) << name;  // float32 next to noise of 80
    }
  }
}

// --- where pictures are noised to

Tensor many(const NoiseProcess& process, const LevelDraw& how) {
  Rng rng(0);
  return process.draw(how, 20000, rng).to(at::kDouble);
}

TEST(LevelDraws, FollowTheirDistributions) {
  // Means and deviations of 20,000 draws: 4 sigma of the mean is 0.03 of the deviation.
  const auto table = table_process(NoiseSchedule(), PredictionType::epsilon);
  EXPECT_NEAR(many(*table, {}).mean().item<double>(), 499.5, 9);
  const Tensor middle = many(*table, {.sampling = LevelSampling::logit_normal, .logit_std = 0.5});
  EXPECT_NEAR(middle.mean().item<double>(), 499.5, 4);
  EXPECT_NEAR(middle.std().item<double>(), 118, 3);  // by quadrature
  const Tensor log_sigma = many(*edm_process(), {}).log();
  EXPECT_NEAR(log_sigma.mean().item<double>(), -1.2, 0.04);
  EXPECT_NEAR(log_sigma.std().item<double>(), 1.2, 0.03);
  const Tensor s = many(*flow_process(), {.logit_mean = 1, .logit_std = 2});
  EXPECT_NEAR((s / (1 - s)).log().mean().item<double>(), 1, 0.06);
  EXPECT_NEAR(many(*flow_process(), {.sampling = LevelSampling::uniform}).mean().item<double>(), 0.5, 0.01);
}

TEST(LevelDraws, SpreadOverABatchFillEveryBin) {
  Rng rng(3);
  const auto table = table_process(NoiseSchedule(), PredictionType::epsilon);
  const Tensor t = table->draw({.low_discrepancy = true}, 10, rng);
  const Tensor bins = std::get<0>((t / 100).floor().sort());
  EXPECT_TRUE(bins.to(at::kLong).equal(at::tensor({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, at::kLong)));
  const Tensor log_sigma = many(*edm_process(), {.low_discrepancy = true}).log();
  EXPECT_NEAR(log_sigma.mean().item<double>(), -1.2, 2e-3);  // no longer random: the quantiles' own mean
}

TEST(LevelDraws, RefuseWhatCannotBe) {
  Rng rng(0);
  EXPECT_THROW(edm_process()->draw({.sampling = LevelSampling::uniform}, 4, rng), Error);
  EXPECT_THROW(flow_process()->draw({.logit_std = 0}, 4, rng), Error);
  EXPECT_THROW(edm_process(0), Error);
  EXPECT_THROW(flow_process(0), Error);
  EXPECT_THROW(table_process(NoiseSchedule(), PredictionType::flow_prediction), Error);
}

}  // namespace
}  // namespace unnoise
