// The networks of "The Annotated Diffusion Model"; against PyTorch: tests/interop/test_annotated.py.
#include "unnoise/models/annotated_unet.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/mse_loss.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/nn/scopes.h"
#include "unnoise/core/error.h"
#include "unnoise/core/fields.h"
#include "unnoise/models/annotated_layers.h"

namespace unnoise {
namespace {

constexpr AnnotatedBlock kBlocks[] = {AnnotatedBlock::resnet, AnnotatedBlock::convnext};

AnnotatedUNetOptions small_annotated(AnnotatedBlock block) { return {.block = block, .dim = 8, .dim_mults = {1, 2}}; }

double annotated_error(const Tensor& a, const Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

Tensor some_timesteps(int64_t batch) { return at::linspace(0, 200, batch); }

TEST(AnnotatedUNet, HasThePublishedSizes) {
  EXPECT_EQ(make_annotated_unet({}, nullptr)->num_parameters(), 2'020'257);
  EXPECT_EQ(make_annotated_unet({.block = AnnotatedBlock::convnext}, nullptr)->num_parameters(), 2'996'315);
}

TEST(AnnotatedUNet, StandardisedWeightsMayBeScaled) {
  Rng rng(0);
  StandardizedConv2d conv(6, 5, &rng);
  const Tensor x = rng.normal({2, 6, 8, 8});
  const c10::NoGradGuard no_grad;
  const Tensor before = conv(x);
  conv.parameters()[0].mul_(3).add_(0.5);
  EXPECT_LT(annotated_error(conv(x), before), 1e-3);  // the variance of the weights is 0.006, to which eps adds 1e-5
  conv.parameters()[0].mul_(-1);
  EXPECT_GT(annotated_error(conv(x), before), 0.1);
}

TEST(AnnotatedUNet, KernelsAndOperatorsAgreeBothWays) {
  for (const AnnotatedBlock block : kBlocks) {
    SCOPED_TRACE(enum_name(block));
    Rng rng(0);
    const auto net = make_annotated_unet(small_annotated(block), &rng);
    const Tensor x = rng.normal({2, 1, 8, 12}), target = rng.normal({2, 1, 8, 12});
    std::vector<Tensor> results[2];
    for (const Kernels kernels : {Kernels::fast, Kernels::plain}) {
      const ChosenKernels chosen(kernels);
      auto& result = results[kernels == Kernels::plain];
      for (const Tensor& p : net->parameters()) p.mutable_grad() = Tensor();
      const Tensor y = (*net)(x, some_timesteps(2));
      EXPECT_EQ(y.sizes(), x.sizes());
      at::mse_loss(y, target).backward();
      result.push_back(y.detach());
      for (const Tensor& p : net->parameters()) result.push_back(p.grad().clone());
    }
    EXPECT_LT(annotated_error(results[0][0], results[1][0]), 1e-4);  // float32 sums in another order, Winograd's too
    double largest = 0;
    for (size_t i = 1; i < results[1].size(); ++i)
      largest = std::max(largest, results[1][i].abs().max().item<double>());
    for (size_t i = 1; i < results[0].size(); ++i)  // a bias before a norm has a gradient of 0 but for rounding
      EXPECT_LT((results[0][i] - results[1][i]).abs().max().item<double>(), 1e-4 * largest) << i;
  }
}

TEST(AnnotatedUNet, HearsTheTimeAndItsLastGuess) {
  for (const AnnotatedBlock block : kBlocks) {
    SCOPED_TRACE(enum_name(block));
    Rng rng(0);
    AnnotatedUNetOptions options = small_annotated(block);
    options.self_condition = true;
    const auto net = make_annotated_unet(options, &rng);
    const c10::NoGradGuard no_grad;
    const Tensor x = rng.normal({2, 1, 8, 8}), guess = rng.normal({2, 1, 8, 8});
    const Tensor y = (*net)(x, at::full({2}, 3.0));
    EXPECT_GT(annotated_error((*net)(x, at::full({2}, 150.0)), y), 1e-3);
    EXPECT_GT(annotated_error((*net)(x, at::full({2}, 3.0), guess), y), 1e-3);
    EXPECT_EQ(annotated_error((*net)(x, at::full({2}, 3.0), guess * 0), y), 0) << "no guess is a guess of zeros";
  }
}

TEST(AnnotatedUNet, RefusesWhatDoesNotFit) {
  Rng rng(0);
  const auto net = make_annotated_unet(small_annotated(AnnotatedBlock::resnet), &rng);
  const Tensor x = rng.normal({2, 1, 8, 8});
  EXPECT_THROW((*net)(rng.normal({2, 1, 7, 8}), some_timesteps(2)), Error);
  EXPECT_THROW((*net)(rng.normal({2, 3, 8, 8}), some_timesteps(2)), Error);
  EXPECT_THROW((*net)(x, some_timesteps(3)), Error);
  EXPECT_THROW((*net)(x, some_timesteps(2), x), Error);
  EXPECT_THROW(make_annotated_unet({.dim = 7}, nullptr), Error);
  EXPECT_THROW(make_annotated_unet({.dim = 10}, nullptr), Error);  // 4 groups do not divide 10
  EXPECT_THROW(make_annotated_unet({.dim_mults = {}}, nullptr), Error);
}

}  // namespace
}  // namespace unnoise
