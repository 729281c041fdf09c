#include "unnoise/training/grad_scaler.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

std::vector<Tensor> with_gradient(double value) {
  const Tensor w = at::full({2}, 1.0).set_requires_grad(true);
  w.mutable_grad() = at::full({2}, value);
  return {w};
}

// Printed by torch 2.13: torch.amp.GradScaler("cpu", init_scale=65536, growth_interval=3), SGD at rate 1/8 on w = 1.
TEST(GradScaler, GivesTorchsNumbers) {
  const std::vector<double> gradients = {1, kInf, 1, 1, 1, std::nan(""), 1, 1, 1, 1};
  const std::vector<double> scales = {65536, 32768, 32768, 32768, 65536, 32768, 32768, 32768, 65536, 65536};
  const std::vector<double> weights = {0.875, 0.875, 0.75, 0.625, 0.5, 0.5, 0.375, 0.25, 0.125, 0};
  GradScaler scaler({.growth_interval = 3});
  double w = 1;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const auto parameters = with_gradient(gradients[i] * scaler.scale());
    const bool finite = scaler.unscale(parameters);
    if (finite) w -= parameters[0].grad()[0].item<double>() / 8;
    scaler.update(finite);
    EXPECT_EQ(scaler.scale(), scales[i]) << i;
    EXPECT_EQ(w, weights[i]) << i;
  }
}

TEST(GradScaler, BeginsAsTorchs) {
  GradScaler scaler;
  for (int i = 0; i < 1999; ++i) scaler.update(true);
  EXPECT_EQ(scaler.scale(), 65536);
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 131072);
}

TEST(GradScaler, GoesOnFromItsState) {
  GradScaler scaler({.growth_interval = 3}), other({.growth_interval = 3});
  for (const bool finite : {false, true, true}) scaler.update(finite);
  other.load_state(parse_json(dump_json(scaler.state()), "s"), "checkpoint-3: grad_scaler");
  scaler.update(true);
  other.update(true);
  EXPECT_EQ(other.scale(), 65536);
  EXPECT_EQ(other.state(), scaler.state());
  EXPECT_THROW(other.load_state({{"scale", "large"}}, "checkpoint-3: grad_scaler"), Error);
}

}  // namespace
}  // namespace unnoise
