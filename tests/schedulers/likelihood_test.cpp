#include "unnoise/schedulers/likelihood.h"

#include <ATen/ops/full.h>
#include <gmock/gmock.h>

#include <numbers>

#include "tests/schedulers/closed_form.h"
#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using closed_form::Mixture;

double log_normal(double x, double mean, double std) {
  const double u = (x - mean) / std;
  return -0.5 * u * u - std::log(std) - 0.5 * std::log(2 * std::numbers::pi);
}

LikelihoodOptions options_of(double tolerance) {
  return {.sigma_min = 0.01, .sigma_max = 150, .tolerance = {.rtol = tolerance, .atol = tolerance}};
}

// The ODE gives the density of the data blurred by sigma_min, N(mean, std^2 + sigma_min^2); pixels are independent, so
// the Jacobian is diagonal and one probe exact.
TEST(Likelihood, OfGaussianDataIsTheClosedForm) {
  const Mixture data{{0.2}, 0.5};
  Rng rng(0);
  const Tensor x = rng.normal({8, 1, 4, 4}) * 0.5 + 0.2;
  for (const double tolerance : {1e-2, 1e-3, 1e-4}) {
    const auto found = log_likelihood([&](const Tensor& y, double sigma) { return data.denoised(y, sigma); }, x,
                                      options_of(tolerance), rng);
    const double std = std::sqrt(0.25 + 1e-4);
    for (int64_t b = 0; b < 8; ++b) {
      double exact = 0;
      for (int64_t i = 0; i < 16; ++i) exact += log_normal(x[b].flatten()[i].item<double>(), 0.2, std);
      // nats a dimension; the end's N(0, 1 + sigma_max^2) stands for N(mean, std^2 + sigma_max^2): (1 - std^2) / 2
      // sigma_max^2 = 2e-5. The tolerance is one step's: about ten of them add up.
      EXPECT_NEAR(found.log_p[b].item<double>() / 16, exact / 16, 20 * tolerance + 5e-5) << tolerance;
    }
    EXPECT_GT(found.model_calls, 20);
  }
}

TEST(Likelihood, OfAMixtureIntegratesToTheMixture) {
  const Mixture data{{-0.5, 0.5}, 0.15};
  Rng rng(0);
  const Tensor x = at::full({3, 1, 1, 1}, 0.0, at::kFloat);
  x[0].fill_(-0.5);
  x[1].fill_(0.1);
  x[2].fill_(0.8);
  const auto found =
      log_likelihood([&](const Tensor& y, double sigma) { return data.denoised(y, sigma); }, x, options_of(1e-5), rng);
  const double std = std::sqrt(0.15 * 0.15 + 1e-4);
  for (int64_t b = 0; b < 3; ++b) {
    const double at = x[b].item<double>();
    const double exact = std::log(0.5 * std::exp(log_normal(at, -0.5, std)) + 0.5 * std::exp(log_normal(at, 0.5, std)));
    EXPECT_NEAR(found.log_p[b].item<double>(), exact, 5e-3) << at;
  }
}

// Pixels that know of each other: the trace is an estimate, unbiased over probes. x = (a, b) with correlation rho has
// the density of its covariance.
TEST(Likelihood, ProbesAverageToTheTrace) {
  const double rho = 0.8, var = 0.25;
  // D = C (C + sigma^2)^-1 y with C = var [[1, rho], [rho, 1]]: by its eigenvectors (1,1) and (1,-1)
  const Denoiser denoise = [&](const Tensor& y, double sigma) {
    const double plus = var * (1 + rho), minus = var * (1 - rho), s2 = sigma * sigma;
    const Tensor sum = (y + y.flip(3)) / 2, difference = (y - y.flip(3)) / 2;
    return sum * (plus / (plus + s2)) + difference * (minus / (minus + s2));
  };
  Rng rng(5);
  const Tensor x = at::full({64, 1, 1, 2}, 0.3, at::kFloat);  // 64 rows, each with probes of its own
  LikelihoodOptions options = options_of(1e-4);
  options.probes = 4;
  const auto found = log_likelihood(denoise, x, options, rng);
  const double plus = var * (1 + rho) + 1e-4, minus = var * (1 - rho) + 1e-4;
  const double exact =  // along (1,1)/sqrt 2 lies 0.3 sqrt 2, across it 0
      log_normal(0.3 * std::numbers::sqrt2, 0, std::sqrt(plus)) + log_normal(0, 0, std::sqrt(minus));
  const Tensor rows = found.log_p;
  const double mean = rows.mean().item<double>(), error = rows.std().item<double>() / 8;
  EXPECT_GT(error, 1e-4);  // the probes do differ
  EXPECT_NEAR(mean, exact, 5 * error + 2e-3);
}

TEST(Likelihood, BitsPerDimOfUniformNoiseIsEight) {
  // A density of 1/2 a dimension over [-1,1] spends log2(256) bits.
  const Tensor log_p = at::full({1}, 48 * std::log(0.5), at::kDouble);
  EXPECT_NEAR(bits_per_dim(log_p, 48).item<double>(), 8.0, 1e-12);
}

TEST(Likelihood, DequantizedPicturesKeepTheirLevel) {
  Rng rng(0);
  const Tensor levels = at::full({1, 1, 2, 2}, 255.0, at::kFloat);
  const Tensor x = dequantized(levels / 127.5 - 1, rng);
  EXPECT_TRUE(((x + 1) * 128).floor().equal(levels));
  EXPECT_LT(x.max().item<double>(), 1.0);
}

TEST(Likelihood, SaysWhatIsWrong) {
  Rng rng(0);
  const Denoiser same = [](const Tensor& y, double) { return y; };
  const Tensor x = at::full({1, 1, 2, 2}, 0.0, at::kFloat);
  EXPECT_THROW(log_likelihood(same, x, {.sigma_min = 0, .sigma_max = 1}, rng), Error);
  EXPECT_THROW(log_likelihood(same, x, {.sigma_min = 2, .sigma_max = 1}, rng), Error);
  LikelihoodOptions none = options_of(1e-3);
  none.probes = 0;
  EXPECT_THROW(log_likelihood(same, x, none, rng), Error);
}

}  // namespace
}  // namespace unnoise
