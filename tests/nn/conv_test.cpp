#include "unnoise/nn/conv.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/nn/scopes.h"
#include "tests/nn/slices.h"
#include "unnoise/core/error.h"
#include "unnoise/nn/layers.h"

namespace unnoise {
namespace {

struct Case {
  ConvGeometry geometry;
  int64_t in, out, kernel, height, width;
  bool image_bias = false, residual = false;
};

/// Winograd's, its odd edges, and what goes to the direct kernel: few channels, 1x1, stride 2 with either padding.
const Case kCases[] = {{{1, 1, 1}, 32, 48, 3, 12, 9, true, true},  {{1, 1, 1}, 64, 64, 3, 2, 2, false, true},
                       {{1, 1, 1}, 3, 20, 3, 8, 8, true, false},   {{1, 1, 1}, 20, 3, 3, 8, 8, false, true},
                       {{1, 0, 0}, 40, 24, 1, 5, 6, false, true},  {{2, 1, 1}, 32, 32, 3, 8, 7, true, false},
                       {{2, 0, 1}, 16, 32, 3, 8, 8, false, false}, {{1, 0, 0}, 32, 48, 1, 5, 6, true, true}};

/// Inputs of one case; all take part in the gradient unless told otherwise.
struct Inputs {
  Tensor x, weight, bias, image_bias, residual;

  explicit Inputs(const Case& c) {
    Rng rng(5);
    x = rng.normal({3, c.in, c.height, c.width});
    weight = rng.normal({c.out, c.in, c.kernel, c.kernel}) * 0.1;
    bias = rng.normal({c.out});
    if (c.image_bias) image_bias = rng.normal({3, c.out});
    const int64_t step = c.geometry.stride, pad = c.geometry.padding + c.geometry.end_padding - c.kernel;
    if (c.residual) residual = rng.normal({3, c.out, (c.height + pad) / step + 1, (c.width + pad) / step + 1});
    for (const Tensor& t : all()) t.set_requires_grad(true);
  }
  std::vector<Tensor> all() const {
    std::vector<Tensor> out;
    for (const Tensor& t : {x, weight, bias, image_bias, residual})
      if (t.defined()) out.push_back(t);
    return out;
  }
  Tensor run(const Case& c, Kernels choice, PackCache* cache = nullptr) const {
    const ChosenKernels chosen(choice);
    return conv2d(x, weight, bias, c.geometry, {image_bias, residual}, cache);
  }
};

/// A number that depends on every output, by a weight of its own. The weights are positive, so that sums of them do not
/// cancel.
Tensor probe(const Tensor& y) { return (y.to(at::kFloat) * (at::arange(y.numel()).view(y.sizes()).sin() + 1.5)).sum(); }

TEST(Conv, AgreesWithThePlainPath) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c.in << " to " << c.out << ", stride " << c.geometry.stride);
    const Inputs inputs(c);
    const Tensor fast = inputs.run(c, Kernels::fast), plain = inputs.run(c, Kernels::plain);
    EXPECT_TRUE(fast.is_contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_LT(relative_difference(fast, plain), 1e-5);  // the largest of many of F(4,3)'s roundings, 1.6e-6 rms
    const auto actual = torch::autograd::grad({probe(fast)}, inputs.all());
    const auto expected = torch::autograd::grad({probe(plain)}, inputs.all());
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_LT(relative_difference(actual[i], expected[i]), 1e-5) << i;
  }
}

TEST(Conv, GivesTheGradientOfTheInputAlone) {
  for (const Case& c : kCases) {
    Inputs inputs(c);
    for (const Tensor& t : inputs.all()) t.set_requires_grad(false);
    inputs.x.set_requires_grad(true);
    const auto actual = torch::autograd::grad({probe(inputs.run(c, Kernels::fast))}, {inputs.x});
    const auto expected = torch::autograd::grad({probe(inputs.run(c, Kernels::plain))}, {inputs.x});
    EXPECT_LT(relative_difference(actual[0], expected[0]), 1e-5);
  }
}

TEST(Conv, HasNoSecondDerivativeAndSaysSo) {
  const Inputs inputs(kCases[0]);
  const Tensor loss = inputs.run(kCases[0], Kernels::fast).pow(2).sum();
  EXPECT_THROW(torch::autograd::grad({loss}, {inputs.x}, {}, true, /*create_graph=*/true), Error);
}

/// bf16: 3x3 layers keep spectra, the others what LibTorch would convert at every call.
TEST(Conv, KeepsPackedWeightsUntilTheyChange) {
  for (const bool bf16 : {false, true})
    for (const Case& c : kCases) {
      SCOPED_TRACE(testing::Message() << c.in << " to " << c.out << ", stride " << c.geometry.stride << " bf16 "
                                      << bf16);
      Inputs inputs(c);
      for (const Tensor& t : inputs.all()) t.set_requires_grad(false);
      const c10::NoGradGuard no_grad;
      std::optional<Autocast> autocast;
      if (bf16) autocast.emplace();
      PackCache cache;
      const Tensor first = inputs.run(c, Kernels::fast, &cache);
      EXPECT_TRUE(at::equal(first, inputs.run(c, Kernels::fast)));
      EXPECT_TRUE(at::equal(first, inputs.run(c, Kernels::fast, &cache)));
      inputs.weight.mul_(2);
      EXPECT_TRUE(at::equal(inputs.run(c, Kernels::fast, &cache), inputs.run(c, Kernels::fast)));
      inputs.weight = inputs.weight * 3;
      EXPECT_TRUE(at::equal(inputs.run(c, Kernels::fast, &cache), inputs.run(c, Kernels::fast)));
      autocast.reset();
      EXPECT_TRUE(at::equal(inputs.run(c, Kernels::fast, &cache), inputs.run(c, Kernels::fast))) << "another type";
    }
}

TEST(Conv, KeepsBfloat16MapsUnderAutocast) {
  for (const Case& c : {kCases[0], kCases[1], kCases[7]}) {  // the others are LibTorch's own
    SCOPED_TRACE(testing::Message() << c.in << " to " << c.out << ", stride " << c.geometry.stride);
    const Inputs inputs(c);
    const Tensor exact = inputs.run(c, Kernels::plain);
    const auto expected = torch::autograd::grad({probe(exact)}, inputs.all());
    Tensor fast;
    {
      const Autocast autocast;
      fast = inputs.run(c, Kernels::fast);
    }
    EXPECT_EQ(fast.scalar_type(), at::kBFloat16);
    const auto actual = torch::autograd::grad({probe(fast)}, inputs.all());
    EXPECT_LT(relative_difference(fast, exact), 2e-2);  // the largest of many roundings of 2^-9
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(actual[i].scalar_type(), at::kFloat);
      EXPECT_LT(relative_difference(actual[i], expected[i]), 2e-2) << i;
    }
  }
}

// On matrix units ours, elsewhere LibTorch's.
TEST(Linear, KeepsBfloat16RowsUnderAutocast) {
  Rng rng(7);
  const Tensor x = rng.normal({3, 21, 48}).set_requires_grad(true);
  const Tensor weight = rng.normal({80, 48}).set_requires_grad(true);
  const Tensor bias = rng.normal({80}).set_requires_grad(true);
  const auto results = [&](bool in_bf16) {
    std::optional<Autocast> autocast;
    if (in_bf16) autocast.emplace();
    const Tensor y = linear(x, weight, bias);
    autocast.reset();
    auto all = torch::autograd::grad({probe(y)}, {x, weight, bias});
    all.push_back(y.detach());
    return all;
  };
  const auto exact = results(false), rounded = results(true);
  EXPECT_EQ(rounded.back().scalar_type(), at::kBFloat16);
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_LT(relative_difference(rounded[i], exact[i]), 2e-2) << i;
}

TEST(Linear, AgreesWithThePlainPath) {
  Rng rng(6);
  for (const bool with_bias : {true, false}) {
    const Tensor x = rng.normal({4, 9, 40}).set_requires_grad(true);
    const Tensor weight = rng.normal({70, 40}).set_requires_grad(true);
    const Tensor bias = with_bias ? rng.normal({70}).set_requires_grad(true) : Tensor();
    const auto results = [&](Kernels choice) {
      const ChosenKernels chosen(choice);
      const Tensor y = linear(x, weight, bias);
      std::vector<Tensor> inputs{x, weight};
      if (with_bias) inputs.push_back(bias);
      auto all = torch::autograd::grad({probe(y)}, inputs);
      all.push_back(y.detach());
      return all;
    };
    const auto fast = results(Kernels::fast), plain = results(Kernels::plain);
    for (size_t i = 0; i < plain.size(); ++i) EXPECT_LT(relative_difference(fast[i], plain[i]), 2e-6) << i;
    const c10::NoGradGuard no_grad;
    PackCache cache;
    const Tensor w = weight.detach().clone();
    EXPECT_TRUE(at::equal(linear(x, w, bias, &cache), linear(x, w, bias)));
    EXPECT_TRUE(at::equal(linear(x, w, bias, &cache), fast.back()));
  }
}

}  // namespace
}  // namespace unnoise
