// Training on the kernels is training on LibTorch's operators: the same losses, until rounding has grown.
#include <ATen/ops/linspace.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/nn/scopes.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/schedulers/scheduler.h"
#include "unnoise/training/train_step.h"

namespace unnoise {
namespace {

constexpr int kCurveSteps = 200;
constexpr int64_t kPictures = 8, kPixels = 8;

UNet2DOptions network() {
  UNet2DOptions o = unet2d_preset("butterflies", kPixels);
  o.block_out_channels = {32, 64};
  o.down_block_types = {DownBlockType::down, DownBlockType::attn_down};
  o.up_block_types = {UpBlockType::attn_up, UpBlockType::up};
  o.norm_num_groups = 8;
  return o;
}

/// Slopes of every direction and colour: something that a small network learns quickly. [B,3,H,W] in [-1,1]
Tensor pictures(Rng& rng) {
  const Tensor along = rng.normal({kPictures, 3, kPixels, 1}).narrow(2, 0, 1),
               across = rng.normal({kPictures, 3, 1, 1});
  const Tensor line = at::linspace(-1, 1, kPixels);
  return (along * line.view({1, 1, kPixels, 1}) + across * line.view({1, 1, 1, kPixels})).tanh();
}

std::vector<double> losses(Kernels kernels, Precision precision) {
  const ChosenKernels chosen(kernels);
  Rng rng(0);
  UNet2D unet(network(), &rng);
  const auto scheduler = make_scheduler("ddpm");
  Optimizer optimizer(unet.named_parameters(), {.learning_rate = 1e-3});
  const auto process = table_process(scheduler->noise(), scheduler->prediction_type);
  const TrainParts parts{.network = std::cref(unet),
                         .process = *process,
                         .objective = {},
                         .optimizer = optimizer,
                         .max_grad_norm = 1.0,
                         .precision = precision};
  std::vector<double> all;
  for (int i = 0; i < kCurveSteps; ++i) all.push_back(train_step(parts, {.x0 = pictures(rng), .labels = {}}, rng).loss);
  return all;
}

double mean(const std::vector<double>& values, size_t begin, size_t end) {
  return std::accumulate(values.begin() + static_cast<long>(begin), values.begin() + static_cast<long>(end), 0.0) /
         static_cast<double>(end - begin);
}

/// The largest |a - b| / b of the steps [0, end).
double largest_difference(const std::vector<double>& a, const std::vector<double>& b, size_t end) {
  double largest = 0;
  for (size_t i = 0; i < end; ++i) largest = std::max(largest, std::abs(a[i] - b[i]) / b[i]);
  return largest;
}

const std::vector<double>& plain_losses() {
  static const auto all = losses(Kernels::plain, Precision::no);
  return all;
}

// Rounding differs by 1e-6 and grows with the steps: to 7e-5 here. Ten times that much would be another cause.
TEST(KernelCurve, FollowsThePlainPathFor200Steps) {
  const auto fast = losses(Kernels::fast, Precision::no);
  EXPECT_LT(largest_difference(fast, plain_losses(), 10), 1e-5);
  EXPECT_LT(largest_difference(fast, plain_losses(), kCurveSteps), 1e-3);
  EXPECT_NEAR(mean(fast, 150, kCurveSteps), mean(plain_losses(), 150, kCurveSteps), 1e-4);
  EXPECT_LT(mean(fast, 150, kCurveSteps), 0.3 * mean(fast, 0, 10)) << "it learns";
}

// bfloat16 has 8 bits: 2e-3 of a loss at once, 3 % of one after 200 steps, and no bias that shows in the mean.
TEST(KernelCurve, InBf16EndsWhereThePlainPathDoes) {
  const auto fast = losses(Kernels::fast, Precision::bf16);
  EXPECT_LT(largest_difference(fast, plain_losses(), 10), 5e-3);
  EXPECT_NEAR(mean(fast, 150, kCurveSteps) / mean(plain_losses(), 150, kCurveSteps), 1, 0.02);
}

}  // namespace
}  // namespace unnoise
