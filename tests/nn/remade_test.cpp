#include "unnoise/nn/remade.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <c10/util/intrusive_ptr.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/nn/scopes.h"
#include "tests/nn/slices.h"
#include "unnoise/nn/norm_conv.h"
#include "unnoise/nn/resample.h"

namespace unnoise {
namespace {

/// Layers that read a map, and the maps it is made of.
struct Reader {
  int64_t of_a = 14, of_b = 10, channels = of_a + of_b;
  Rng rng{3};
  GroupNorm norm{{.groups = 4, .channels = channels}};  // a group lies in both parts
  Conv2d conv{{.in_channels = channels, .out_channels = 16, .kernel_size = 3, .padding = 1}, &rng};
  Conv2d shortcut{{.in_channels = channels, .out_channels = 16, .kernel_size = 1}, &rng};
  Tensor a = rng.normal({2, of_a, 5, 6}).set_requires_grad(true);
  Tensor b = rng.normal({2, of_b, 5, 6}).set_requires_grad(true);
  Tensor small = rng.normal({2, channels, 3, 4}).set_requires_grad(true);

  Tensor read(const Remade& x) const { return norm_silu_conv(x, norm, conv, {.residual = shortcut(x)}); }

  /// y, then the gradients of what it came from and of the weights.
  std::vector<Tensor> results(const Tensor& y, std::vector<Tensor> from) const {
    for (const Module* layer :
         {static_cast<const Module*>(&norm), static_cast<const Module*>(&conv), static_cast<const Module*>(&shortcut)})
      for (const Tensor& weight : layer->parameters()) from.push_back(weight);
    const Tensor loss = (y.to(at::kFloat) * (at::arange(y.numel()).view(y.sizes()).sin() + 1.5)).sum();
    auto all = torch::autograd::grad({loss}, from);
    all.insert(all.begin(), y.detach());
    return all;
  }
};

void expect_alike(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected, double limit = 1e-6) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_LT(relative_difference(actual[i].to(at::kFloat), expected[i].to(at::kFloat)), limit) << i;  // other order
}

TEST(Remade, ReadsAndLearnsAsTheMapItself) {
  for (const Kernels choice : {Kernels::fast, Kernels::plain})
    for (const bool bf16 : {false, true}) {
      SCOPED_TRACE(testing::Message() << "fast " << (choice == Kernels::fast) << ", bf16 " << bf16);
      const ChosenKernels chosen(choice);
      std::optional<Autocast> autocast;
      if (bf16) autocast.emplace();
      const Reader r;
      expect_alike(r.results(r.read(Remade::joined(r.a, r.b)), {r.a, r.b}),
                   r.results(r.read(at::cat({r.a, r.b}, 1)), {r.a, r.b}));
      expect_alike(r.results(r.read(Remade::doubled(r.small)), {r.small}),
                   r.results(r.read(resample(r.small, Resampling::up)), {r.small}));
    }
}

// Each part's weights have a gradient of their own, of whatever kernel takes the part: the whole's may not.
TEST(Remade, TakesPartsOfAnyNumberOfChannels) {
  for (const auto& [of_a, of_b] : {std::pair<int64_t, int64_t>{32, 16}, {40, 24}, {64, 16}})
    for (const bool bf16 : {false, true}) {
      SCOPED_TRACE(testing::Message() << of_a << " and " << of_b << ", bf16 " << bf16);
      const Reader r{.of_a = of_a, .of_b = of_b};
      std::vector<Tensor> expected;
      {
        const ChosenKernels plain(Kernels::plain);
        expected = r.results(r.read(at::cat({r.a, r.b}, 1)), {r.a, r.b});
      }
      std::optional<Autocast> autocast;
      if (bf16) autocast.emplace();
      expect_alike(r.results(r.read(Remade::joined(r.a, r.b)), {r.a, r.b}), expected,
                   bf16 ? 3e-2 : 1e-5);  // roundings of 2^-9 through two layers; Winograd's
    }
}

TEST(Remade, JoinsWithoutAutogradToo) {
  const Reader r;
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(Remade::joined(r.a, r.b).map, at::cat({r.a, r.b}, 1)));
}

TEST(Remade, GivesTheGradientsThatAreAskedFor) {
  const Reader r;
  const auto all = r.results(r.read(Remade::joined(r.a, r.b)), {r.a, r.b});
  r.a.set_requires_grad(false);
  EXPECT_TRUE(at::equal(r.results(r.read(Remade::joined(r.a, r.b)), {r.b})[1], all[2]));
  r.a.set_requires_grad(true);
  r.b.set_requires_grad(false);
  EXPECT_TRUE(at::equal(r.results(r.read(Remade::joined(r.a, r.b)), {r.a})[1], all[1]));
}

TEST(Remade, IsNotKeptForTheWayBack) {
  const Reader r;
  const auto is_kept = [&](Remade x) {
    const c10::weak_intrusive_ptr<c10::StorageImpl> memory = x.map.storage().getWeakStorageImpl();
    const Tensor y = r.read(x);
    x.map = Tensor();
    EXPECT_TRUE(y.requires_grad());
    return !memory.expired();
  };
  EXPECT_FALSE(is_kept(Remade::joined(r.a, r.b)));
  EXPECT_FALSE(is_kept(Remade::doubled(r.small)));
  EXPECT_TRUE(is_kept(channels_last(at::cat({r.a, r.b}, 1))));
}

TEST(Remade, TheGradientOfAPartHasMemoryOfItsOwn) {
  const Reader r;
  const auto d = torch::autograd::grad({Remade::joined(r.a, r.b).map.square().sum()}, {r.a, r.b});
  for (const Tensor& part : d) EXPECT_EQ(part.storage().nbytes(), part.nbytes());
}

}  // namespace
}  // namespace unnoise
