#include "unnoise/training/variational_bound.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

const NoiseSchedule kNoise;

struct Fixture {
  Tensor x0, eps, xt, t;
  Fixture(int64_t timestep) {
    Rng rng(0);
    x0 = (rng.uniform({2, 1, 4, 4}) * 255).floor() / 127.5 - 1;
    eps = rng.normal({2, 1, 4, 4});
    t = at::full({2}, timestep, at::kLong);
    xt = kNoise.add_noise(x0, eps, t);
  }
  double bound(const Tensor& x0_seen, double v) const {
    return variational_bound(kNoise, {x0, xt, x0_seen, at::full({2, 1, 4, 4}, v), t})[0].item<double>();
  }
};

// The true posterior: its mean from the true picture, its variance beta~ at v = -1.
TEST(VariationalBound, IsZeroForThePosteriorItself) {
  EXPECT_NEAR(Fixture(500).bound(Fixture(500).x0, -1), 0, 1e-6);  // float32
}

// Two Gaussians with the same mean: KL = (log r - 1 + 1/r) / 2, r = beta / beta~.
TEST(VariationalBound, OfTheLargerVarianceIsItsClosedForm) {
  const int64_t t = 20;
  const auto abar = [](int64_t s) { return kNoise.alphas_cumprod()[s].item<double>(); };
  const double r = (1 - abar(t)) / (1 - abar(t - 1));
  const Fixture at_t(t);
  const double expected = 0.5 * (std::log(r) - 1 + 1 / r) / std::numbers::ln2;
  EXPECT_NEAR(at_t.bound(at_t.x0, 1), expected, 0.02 * expected + 1e-6);  // 1 - abar of float32 tables
}

// The mean differs by x0_share * error: KL = (x0_share error)^2 / (2 beta~).
TEST(VariationalBound, GrowsWithTheSquareOfTheErrorOfX0) {
  const int64_t t = 300;
  const auto abar = [](int64_t s) { return kNoise.alphas_cumprod()[s].item<double>(); };
  const double beta = kNoise.betas()[t].item<double>();
  const double share = std::sqrt(abar(t - 1)) * beta / (1 - abar(t));
  const double variance = (1 - abar(t - 1)) / (1 - abar(t)) * beta;
  const Fixture at_t(t);
  const double expected = share * share * 0.01 / (2 * variance) / std::numbers::ln2;
  EXPECT_NEAR(at_t.bound(at_t.x0 + 0.1, -1), expected, 1e-3 * expected);
}

// At t = 0 the mean is x0_seen itself, and its grey level's bin of 2/255 holds erf(1/255 / (sqrt(2) sigma)).
TEST(VariationalBound, AtTheLastStepIsTheLikelihoodOfGreyLevels) {
  const auto abar = [](int64_t s) { return kNoise.alphas_cumprod()[s].item<double>(); };
  const double variance = kNoise.betas()[1].item<double>() * (1 - abar(0)) / (1 - abar(1));  // taken from t = 1
  const double expected = -std::log2(std::erf(1 / 255.0 / std::sqrt(2 * variance)));
  const Fixture last(0);
  EXPECT_NEAR(last.bound(last.x0, -1), expected, 0.02 * expected);  // 1 - abar of float32 tables; an open bin or none
  EXPECT_GT(last.bound(-last.x0, -1), 10);
}

TEST(VariationalBound, NeedsTwoTimesteps) {
  const NoiseSchedule one({.num_train_timesteps = 1, .trained_betas = {{0.5}}});
  const Tensor x = at::zeros({1, 1, 2, 2});
  EXPECT_THROW(variational_bound(one, {x, x, x, x, at::zeros({1}, at::kLong)}), Error);
}

}  // namespace
}  // namespace unnoise
