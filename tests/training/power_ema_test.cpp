#include "unnoise/training/power_ema.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "unnoise/core/error.h"
#include "unnoise/training/ema.h"

namespace unnoise {
namespace {

constexpr int kSteps = 1000, kBatch = 16;
constexpr double kEnd = kSteps * kBatch;

/// A path of one weight: what it is after each update, 1 to kSteps.
using Path = std::function<double(int)>;

/// The average of a path at several updates, as the trainer tracks it.
std::vector<double> tracked(const EmaOptions& options, const Path& path, const std::vector<int>& when) {
  const Tensor p = at::zeros({1}, at::kDouble);
  p.set_requires_grad(true);
  Ema ema({{"p", p}}, options);
  std::vector<double> out;
  for (int step = 1; step <= kSteps; ++step) {
    p.detach().fill_(path(step));
    ema.count_images(kBatch / 2);  // two micro-batches
    ema.count_images(kBatch / 2);
    ema.step();
    for (const int at : when)
      if (at == step) out.push_back(ema.state()[0].second.item<double>());
  }
  return out;
}

TEST(PowerProfile, GammaAndSigmaRelAreEachOthersInverse) {
  // EDM2, section 3.1: 5 % and 10 % are gamma = 16.97 and 6.94.
  EXPECT_NEAR(gamma_of(0.05), 16.97, 0.005);
  EXPECT_NEAR(gamma_of(0.10), 6.94, 0.005);
  for (const double sigma_rel : {1e-4, 0.01, 0.05, 0.1, 0.2, 0.28, kLargestSigmaRel})
    EXPECT_NEAR(sigma_rel_of(gamma_of(sigma_rel)), sigma_rel, 1e-12);
  EXPECT_NEAR(gamma_of(kLargestSigmaRel), 0, 1e-9);
  for (const double bad : {0.0, -0.1, 0.29, std::nan("")}) EXPECT_THROW(gamma_of(bad), Error) << bad;
}

TEST(PowerProfile, TheFirstUpdateIsACopyAndALateOneHardlyMoves) {
  EXPECT_EQ(power_decay(6.94, 0, 16), 0);
  EXPECT_NEAR(power_decay(6.94, 16, 32), std::pow(0.5, 7.94), 1e-15);
  EXPECT_NEAR(1 - power_decay(6.94, 1e12, 1e12 + 16), 7.94 * 16e-12, 1e-15);
}

// training_loop.py of EDM: 0.5 ** (batch / max(min(halflife, nimg * rampup), 1e-8)).
TEST(HalflifeDecay, IsEdms) {
  EXPECT_EQ(halflife_decay(500e3, 0.05, 0, 512), 0);
  EXPECT_NEAR(halflife_decay(500e3, 0.05, 1e6, 1e6 + 512), std::pow(0.5, 512 / 50e3), 1e-14);
  EXPECT_NEAR(halflife_decay(500e3, 0.05, 1e8, 1e8 + 512), std::pow(0.5, 512 / 500e3), 1e-14);
  EXPECT_NEAR(halflife_decay(500e3, 0, 0, 512), std::pow(0.5, 512 / 500e3), 1e-14);
}

// After a half-life without a change, half of the old value is left.
TEST(HalflifeDecay, HalvesInAHalflife) {
  const double halflife = 160 * kBatch;
  const auto path = [](int step) { return step <= 200 ? 1.0 : 0.0; };
  const auto found = tracked({.halflife = halflife, .rampup_ratio = 0}, path, {200, 360, 520});
  EXPECT_NEAR(found[0], 1 - std::exp2(-200 / 160.0), 1e-12);  // began at 0
  EXPECT_NEAR(found[1], found[0] / 2, 1e-12);
  EXPECT_NEAR(found[2], found[0] / 4, 1e-12);
}

// The integral of tau^n p(tau) is (gamma + 1) / (gamma + 1 + n) t^n; a path in small steps is near it.
TEST(PowerProfile, AveragesAPolynomialPathInClosedForm) {
  for (const double sigma_rel : {0.05, 0.1, 0.25})
    for (const int n : {0, 1, 3}) {
      const double gamma = gamma_of(sigma_rel);
      const auto path = [&](int step) { return std::pow(step / double{kSteps}, n); };
      const double expected = (gamma + 1) / (gamma + 1 + n);
      // The path is sampled at the end of each step: 1/2 step ahead, n / (2 * 1000) at most.
      EXPECT_NEAR(tracked({.sigma_rel = sigma_rel}, path, {kSteps})[0], expected, n == 0 ? 1e-12 : 0.6e-3 * n);
    }
}

TEST(PowerProfile, InnerProductsAreTheIntegrals) {
  const auto integral = [](const auto& f, double end) {
    constexpr int kIntervals = 200000;
    double sum = 0;
    for (int i = 0; i < kIntervals; ++i) sum += f((i + 0.5) * end / kIntervals);
    return sum * end / kIntervals;
  };
  const HalflifeProfile h{.time = 5, .halflife = 0.7};
  const PowerProfile early{.time = 2, .gamma = 6.94}, late{.time = 5, .gamma = 16.97}, flat{.time = 4, .gamma = 0};
  for (const auto& [a, b] : {std::pair{early, late}, {late, early}, {late, late}, {early, flat}, {flat, late}})
    EXPECT_NEAR(inner_product(a, b), integral([&](double x) { return profile_value(a, x) * profile_value(b, x); }, 5),
                1e-5);
  for (const PowerProfile& a : {early, late, flat})
    EXPECT_NEAR(integral([&](double x) { return profile_value(a, x); }, a.time), 1, 1e-5);
  EXPECT_NEAR(integral([&](double x) { return profile_value(h, x); }, 5), 1, 1e-5);
  EXPECT_NEAR(profile_value(h, 5 - 0.7), profile_value(h, 5) / 2, 1e-12);
  for (const PowerProfile& a : {early, late, flat})
    EXPECT_NEAR(inner_product(a, h),
                integral([&](double x) { return profile_value(a, x) * profile_value(h, x); }, a.time), 1e-5);
}

std::vector<PowerProfile> grid(int count, const std::vector<double>& sigma_rels) {
  std::vector<PowerProfile> out;
  for (int i = 1; i <= count; ++i)
    for (const double sigma_rel : sigma_rels) out.push_back({kEnd * i / count, gamma_of(sigma_rel)});
  return out;
}

// Made with numpy from EDM2's algorithm 3 and the condition that the weights sum to 1; without it, the paper's own
// weights differ by less than 1e-2 and sum to 1.0096.
TEST(FitProfile, FindsTheWeightsOfThePaper) {
  const auto fit = fit_profile(grid(4, {0.05, 0.10}), PowerProfile{kEnd, gamma_of(0.08)});
  const std::vector<double> expected = {0.00083, -0.00193, 0.00181, -0.00462, 0.01369, -0.04682, 0.2553, 0.78176};
  ASSERT_EQ(fit.weights.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(fit.weights[i], expected[i], 1e-5) << i;  // printed with 5 digits
  double sum = 0;
  for (const double weight : fit.weights) sum += weight;
  EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(FitProfile, AStoredProfileIsTakenAsItIs) {
  const auto stored = grid(64, {0.05, 0.10});
  const auto fit = fit_profile(stored, stored.back());
  EXPECT_NEAR(fit.weights.back(), 1, 1e-9);
  EXPECT_LT(fit.residual, 1e-6);  // the root of what rounding leaves of 0
}

// The claim of `unnoise ema`: what is rebuilt from 32 snapshots is what had been tracked. The path is steep, then
// noisy, as a training's.
TEST(FitProfile, RebuildsWhatWasNotTracked) {
  const auto path = [](int step) { return std::exp(-step / 150.0) + 0.02 * std::sin(0.37 * step * step); };
  constexpr int kSnapshots = 32;
  std::vector<PowerProfile> stored;
  std::vector<double> values;
  for (const double sigma_rel : {0.05, 0.10}) {
    std::vector<int> when;
    for (int i = 1; i <= kSnapshots; ++i) {
      when.push_back(kSteps * i / kSnapshots);
      stored.push_back({double{kBatch} * when.back(), gamma_of(sigma_rel)});
    }
    for (const double value : tracked({.sigma_rel = sigma_rel}, path, when)) values.push_back(value);
  }
  const auto rebuilt = [&](const ProfileFit& fit) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += fit.weights[i] * values[i];
    return sum;
  };
  // The averages themselves are near 0: errors are measured against what the weight goes through.
  const double scale = 0.02;
  for (const double sigma_rel : {0.05, 0.06, 0.08, 0.10, 0.12, 0.15}) {
    const auto fit = fit_profile(stored, PowerProfile{kEnd, gamma_of(sigma_rel)});
    EXPECT_LT(fit.residual, 3e-3) << sigma_rel;
    EXPECT_NEAR(rebuilt(fit), tracked({.sigma_rel = sigma_rel}, path, {kSteps})[0], 1e-3 * scale) << sigma_rel;
  }
  for (const double halflife : {0.05 * kEnd, 0.08 * kEnd}) {
    const auto fit = fit_profile(stored, HalflifeProfile{kEnd, halflife});
    EXPECT_LT(fit.residual, 3e-2) << halflife;
    EXPECT_NEAR(rebuilt(fit), tracked({.halflife = halflife, .rampup_ratio = 0}, path, {kSteps})[0], 0.05 * scale)
        << halflife;
  }
}

TEST(FitProfile, ManySnapshotsAndEqualOnesDoNoHarm) {
  auto stored = grid(256, {0.05, 0.10});
  stored.push_back(stored[17]);
  const auto fit = fit_profile(stored, PowerProfile{kEnd, gamma_of(0.08)});
  EXPECT_LT(fit.residual, 1e-3);
  for (const double weight : fit.weights) EXPECT_LT(std::abs(weight), 2);
}

TEST(FitProfile, RefusesWhatItCannotUse) {
  EXPECT_THROW(fit_profile({}, PowerProfile{1, 1}), Error);
  EXPECT_THROW(fit_profile(std::vector<PowerProfile>{{2, 1}}, PowerProfile{1, 1}), Error);
  EXPECT_THROW(fit_profile(std::vector<PowerProfile>{{0, 1}}, PowerProfile{1, 1}), Error);
}

}  // namespace
}  // namespace unnoise
