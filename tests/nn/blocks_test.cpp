// Layers of the UNets against the numbers in diffusers' own layer tests: seed 0, the sample drawn first, then the
// layer.
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include "tests/nn/slices.h"
#include "unnoise/core/error.h"
#include "unnoise/nn/attention.h"
#include "unnoise/nn/resample.h"
#include "unnoise/nn/resnet.h"
#include "unnoise/nn/time_embedding.h"

namespace unnoise {
namespace {

TEST(Upsample2D, IsDiffusers) {
  Rng rng(0);
  const Tensor x = rng.normal({1, 32, 32, 32});
  expect_corner(resample(x, Resampling::up), {-.2173, -1.2079, -1.2079, .2952, 1.1254, 1.1254, .2952, 1.1254, 1.1254});
  const Upsample2D same(32, 32, &rng);
  EXPECT_EQ(same(x).sizes(), (Shape{1, 32, 64, 64}));
  EXPECT_EQ(same(x, {{63, 61}}).sizes(), (Shape{1, 32, 63, 61}));
  expect_corner(same(x), {.7145, 1.3773, .3492, .8448, 1.0839, -.3341, .5956, .1250, -.4841});

  Rng other(0);
  other.normal({1, 32, 32, 32});
  expect_corner(Upsample2D(32, 64, &other)(x), {.2703, .1656, -.2538, -.0553, -.2984, .1044, .1155, .2579, .7755});
}

TEST(Downsample2D, IsDiffusers) {
  Rng rng(0);
  const Tensor x = rng.normal({1, 32, 64, 64});
  expect_corner(resample(x, Resampling::down), {-.0513, -.3889, .0640, .0836, -.5460, -.0341, -.0169, -.6967, .1179});
  const Downsample2D same({32, 32, 1}, &rng);
  expect_corner(same(x), {.9267, .5878, .3337, 1.2321, -.1191, -.3984, -.7532, -.0715, -.3913});

  Rng other(0);
  other.normal({1, 32, 64, 64});
  expect_corner(Downsample2D({32, 16, 1}, &other)(x),
                {-.6586, .5985, .0721, .1256, -.1492, .4436, -.2544, .5021, 1.1522});
}

TEST(Downsample2D, Padding0AddsToTheBottomAndTheRight) {
  Rng rng(0);
  const Downsample2D down({1, 1, 0}, &rng);
  EXPECT_EQ(down(rng.normal({1, 1, 8, 6})).sizes(), (Shape{1, 1, 4, 3}));
}

TEST(Fir, DoublingKeepsTheMeanInsideAndHalvingUndoesItForConstants) {
  const Tensor flat = Rng(0).normal({1, 2, 1, 1}).expand({1, 2, 8, 8}).contiguous();
  const Tensor doubled = resample(flat, Resampling::up_fir);
  EXPECT_EQ(doubled.sizes(), (Shape{1, 2, 16, 16}));
  const Tensor inside = doubled.slice(2, 2, -2).slice(3, 2, -2);
  EXPECT_LT(inside.sub(flat.slice(2, 0, 1).slice(3, 0, 1)).abs().max().item<double>(), 1e-6);   // float32 rounding
  EXPECT_EQ(resample(flat.slice(2, 0, 7), Resampling::down_fir).sizes(), (Shape{1, 2, 3, 4}));  // rounds down
}

struct ResnetCase {
  Resampling resampling;
  std::optional<bool> shortcut;
  std::array<double, 9> corner;
};

TEST(ResnetBlock2D, IsDiffusers) {
  const ResnetCase cases[] = {
      {Resampling::none, {}, {-1.9010, -.2974, -.8245, -1.3533, .8742, -.9645, -2.0584, 1.3387, -.4746}},
      {Resampling::none, true, {.2226, -1.0791, -.1629, .3659, -.2889, -1.2376, .0582, .9206, .0044}},
      {Resampling::up, {}, {1.2130, -.8753, -.9027, 1.5783, -.5362, -.5001, 1.0726, -.7732, -.4182}},
      {Resampling::down, {}, {-.3002, -.7135, .1359, .0561, -.7935, .0113, -.1766, -.6714, -.0436}},
      {Resampling::down_fir, {}, {-.0934, -.5729, .0909, -.2710, -.5044, .0243, -.0665, -.5267, -.3136}},
  };
  for (const ResnetCase& c : cases) {
    Rng rng(0);
    const Tensor x = rng.normal({1, 32, 64, 64});
    const Tensor temb = rng.normal({1, 128});
    const ResnetBlock2D block({.in_channels = 32,
                               .out_channels = 32,
                               .temb_channels = 128,
                               .resampling = c.resampling,
                               .conv_shortcut = c.shortcut},
                              &rng);
    expect_corner(block(x, temb), c.corner);
  }
}

TEST(TimestepEmbedding, IsDiffusers) {
  const auto middle = [](const SinusoidOptions& options) {  // rows 23 to 25, columns 47 to 49
    return timestep_embedding(at::arange(128), options).slice(0, 23, 26).slice(1, 47, 50).reshape({1, 1, 3, 3});
  };
  // Angles of several hundred: one float32 rounding of them is up to 3e-5.
  expect_corner(middle({.dim = 64, .flip_sin_to_cos = false, .freq_shift = 1}),
                {.9646, .9804, .9892, .9615, .9787, .9882, .9582, .9769, .9872});
  expect_corner(middle({.dim = 64, .flip_sin_to_cos = true, .freq_shift = 0}),
                {.3019, .2280, .1716, .3146, .2377, .1790, .3272, .2474, .1864});
  expect_corner(middle({.dim = 64, .flip_sin_to_cos = false, .freq_shift = 1, .scale = 1000}),
                {-.9801, -.9464, -.9349, -.3952, .8887, -.9709, .5299, -.2853, -.9927}, 2e-3);
}

TEST(TimestepEmbedding, OddLengthsEndInAZero) {
  const Tensor embedding = timestep_embedding(at::arange(1, 4), {.dim = 9});
  EXPECT_EQ(embedding.sizes(), (Shape{3, 9}));
  EXPECT_EQ(embedding.select(1, 8).abs().sum().item<double>(), 0);
}

TEST(Attention, IsAMeanOfTheValuesWhenAllPixelsAreTheSame) {
  Rng rng(0);
  const Attention attention({.channels = 8, .head_dim = 4}, &rng);
  const Tensor x = rng.normal({2, 8, 1, 1}).expand({2, 8, 3, 5}).contiguous();
  const Tensor y = attention(x);
  EXPECT_EQ(y.sizes(), x.sizes());
  EXPECT_LT(relative_difference(y, y.slice(2, 0, 1).slice(3, 0, 1).expand_as(y)), 1e-6);  // float32 rounding
}

TEST(Attention, RefusesHeadsWiderThanTheChannels) {
  EXPECT_THROW(Attention({.channels = 4, .head_dim = 8}, nullptr), Error);
}

}  // namespace
}  // namespace unnoise
