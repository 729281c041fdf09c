#include "unnoise/training/gradient_noise.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cmath>

#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

// Gradients of one picture ~ N(m, s^2 I) in d dimensions: |G|^2 = d m^2, tr(Sigma) = d s^2, B_simple = s^2 / m^2.
TEST(GradientNoise, RecoversMeanAndCovarianceOfGaussianGradients) {
  constexpr int64_t kDimensions = 4000, kBatch = 4;
  constexpr double kMean = 0.5, kDeviation = 3.0;
  Rng rng(1);
  GradientNoise noise(kBatch);
  for (int group = 0; group < 8; ++group) {
    for (int batch = 0; batch < 8; ++batch) {
      const double spread = kDeviation / std::sqrt(static_cast<double>(kBatch));
      noise.add({rng.normal({kDimensions / 2}) * spread + kMean, rng.normal({kDimensions / 2}) * spread + kMean});
    }
    noise.end_group();
  }
  EXPECT_EQ(noise.groups(), 8);
  // 8 groups of d = 4000 numbers: the trace is known to 1/sqrt(8*7*4000/2) = 0.3 %, |G|^2 to about 2 %.
  EXPECT_NEAR(noise.trace() / (kDimensions * kDeviation * kDeviation), 1, 0.02);
  EXPECT_NEAR(noise.gradient_squared() / (kDimensions * kMean * kMean), 1, 0.08);
  EXPECT_NEAR(noise.noise_scale(), kDeviation * kDeviation / (kMean * kMean), 4);
}

TEST(GradientNoise, EqualGradientsHaveNoNoise) {
  GradientNoise noise(16);
  for (int i = 0; i < 3; ++i) noise.add({at::full({5}, 2.0f)});
  noise.end_group();
  EXPECT_NEAR(noise.trace(), 0, 1e-9);
  EXPECT_NEAR(noise.gradient_squared(), 20, 1e-9);
  EXPECT_NEAR(noise.noise_scale(), 0, 1e-9);
}

TEST(GradientNoise, SaysWhenItCannotTell) {
  GradientNoise noise(2);
  noise.add({at::full({2}, 1.0f)});
  noise.end_group();  // a single batch is no group
  EXPECT_TRUE(std::isnan(noise.noise_scale()));
  noise.add({at::full({2}, 1.0f)});
  noise.add({at::full({2}, -1.0f)});
  noise.end_group();  // opposite gradients: |G|^2 comes out below 0
  EXPECT_TRUE(std::isinf(noise.noise_scale()));
}

}  // namespace
}  // namespace unnoise
