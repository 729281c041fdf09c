#include "unnoise/training/fused_update.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/rng.h"

namespace unnoise {
namespace {

class KernelScope {
 public:
  explicit KernelScope(Kernels choice) : before_(kernel_choice()) { set_kernel_choice(choice); }
  ~KernelScope() { set_kernel_choice(before_); }
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

 private:
  Kernels before_;
};

/// Weights of several layouts, one that is frozen and one that never gets a gradient.
StateDict some_parameters() {
  Rng rng(3);
  StateDict out;
  for (const Shape& shape : {Shape{7}, Shape{16, 5, 3, 3}, Shape{300, 200}, Shape{1}, Shape{4}, Shape{6}})
    out.emplace_back("p" + std::to_string(out.size()), rng.normal(shape));
  out[1].second = out[1].second.contiguous(at::MemoryFormat::ChannelsLast);
  for (size_t i = 0; i < out.size(); ++i)
    if (i != 4) out[i].second.set_requires_grad(true);
  return out;
}

void set_gradients(const StateDict& parameters, Rng& rng, double scale) {
  for (size_t i = 0; i + 1 < parameters.size(); ++i)
    if (i != 4) parameters[i].second.mutable_grad() = rng.normal(parameters[i].second.sizes().vec()) * scale;
}

void expect_same(const StateDict& found, const StateDict& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(at::allclose(found[i].second, expected[i].second, tolerance, tolerance)) << found[i].first;
}

TEST(FusedUpdate, DoesWhatTheThreeCallsDo) {
  for (const OptimizerType type : {OptimizerType::adamw, OptimizerType::adam})
    for (const double max_norm : {1.0, std::numeric_limits<double>::infinity()}) {
      const StateDict one = some_parameters(), two = some_parameters();
      const OptimizerOptions options{.type = type, .learning_rate = 1e-2, .weight_decay = 0.1};
      Optimizer fused(one, options), apart(two, options);
      Ema fused_ema(one), apart_ema(two);
      Rng one_rng(1), two_rng(1);
      for (int step = 0; step < 20; ++step) {
        const double scale = step % 2 ? 1.0 : 1e-4;
        set_gradients(one, one_rng, scale);
        set_gradients(two, two_rng, scale);
        const auto norm = fused_update(fused, &fused_ema, max_norm);
        ASSERT_TRUE(norm.has_value());
        EXPECT_NEAR(*norm, clip_grad_norm(apart.parameters(), max_norm), 1e-6 * *norm);
        apart.step();
        apart_ema.step();
      }
      // Sums of squares in another order, one rounding less in a division: 20 steps of a few float32 roundings.
      expect_same(one, two, 5e-6);
      expect_same(fused.state(), apart.state(), 5e-6);
      expect_same(fused_ema.state(), apart_ema.state(), 5e-6);
      EXPECT_EQ(fused_ema.optimization_step(), 20);
      EXPECT_EQ(fused_ema.current_decay(), apart_ema.current_decay());
    }
}

TEST(FusedUpdate, LeavesEverythingAloneWhenTheNormIsNotFinite) {
  const StateDict parameters = some_parameters();
  Optimizer optimizer(parameters, {});
  Ema ema(parameters);
  Rng rng(1);
  set_gradients(parameters, rng, 1);
  parameters[2].second.mutable_grad().mul_(std::numeric_limits<float>::infinity());
  const Tensor before = parameters[0].second.detach().clone();
  EXPECT_TRUE(std::isinf(fused_update(optimizer, &ema, 1.0).value()));
  EXPECT_TRUE(parameters[0].second.equal(before));
  EXPECT_EQ(ema.optimization_step(), 0);
  EXPECT_EQ(optimizer.state()[0].second.item<float>(), 0);
}

TEST(FusedUpdate, StepsAsideWhereItDoesNotFit) {
  const StateDict parameters = some_parameters();
  Rng rng(1);
  set_gradients(parameters, rng, 1);
  Optimizer sgd(parameters, {.type = OptimizerType::sgd}), adam(parameters, {});
  EXPECT_FALSE(fused_update(sgd, nullptr, 1.0).has_value());
  {
    const KernelScope plain(Kernels::plain);
    EXPECT_FALSE(fused_update(adam, nullptr, 1.0).has_value());
  }
  const StateDict wide = {{"wide", at::full({3}, 1.0, at::kDouble).set_requires_grad(true)}};
  wide[0].second.mutable_grad() = at::full({3}, 1.0, at::kDouble);
  Optimizer of_doubles(wide, {});
  EXPECT_FALSE(fused_update(of_doubles, nullptr, 1.0).has_value());
  const KernelScope fast(Kernels::fast);
  EXPECT_TRUE(fused_update(adam, nullptr, 1.0).has_value());
}

}  // namespace
}  // namespace unnoise
