#include "unnoise/training/gradient_sum.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include "tests/nn/in_group.h"
#include "unnoise/nn/rng.h"
#include "unnoise/training/train_step.h"

namespace unnoise {
namespace {

using ::testing::Each;

TEST(SumGradients, CountsAMissingOneAsZeroAndMakesNoneWhereNobodyHasOne) {
  const auto errors = in_group(3, [](ProcessGroup& group) {
    const Tensor all = at::zeros({5, 2}), one = at::zeros({3}), none = at::zeros({4});
    all.mutable_grad() = at::full({5, 2}, 1.0 + static_cast<double>(group.rank()));
    if (group.rank() == 2) one.mutable_grad() = at::full({3}, 7.0);
    sum_gradients(group, {all, none, one});
    EXPECT_TRUE(at::equal(all.grad(), at::full({5, 2}, 6.0)));
    EXPECT_TRUE(at::equal(one.grad(), at::full({3}, 7.0)));
    EXPECT_FALSE(none.grad().defined());
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(SumGradients, GoesThroughManyAndLargeOnes) {
  const auto errors = in_group(2, [](ProcessGroup& group) {
    std::vector<Tensor> parameters;
    for (const int64_t n : {3'000'000, 3'000'000, 1, 6'000'000, 5}) {
      parameters.push_back(at::zeros({n}));
      parameters.back().mutable_grad() = at::full({n}, static_cast<double>(n + group.rank()));
    }
    sum_gradients(group, parameters);
    for (const Tensor& p : parameters)
      EXPECT_TRUE(at::equal(p.grad(), at::full({p.numel()}, static_cast<double>(2 * p.numel() + 1))));
  });
  EXPECT_THAT(errors, Each(""));
}

/// Weights, and how many pictures their average has seen, after steps on 4, then 3, then 1 pictures in all.
struct Trained {
  Tensor weights, average;
};
Trained train_on_shares(ProcessGroup& group) {
  const Tensor w = at::full({1, 3, 1, 1}, 0.5).set_requires_grad(true);
  Optimizer optimizer({{"w", w}}, {.learning_rate = 0.1});
  Ema ema({{"w", w}}, {.halflife = 0.01});
  const auto process = table_process(NoiseSchedule(), PredictionType::epsilon);
  const TrainParts parts{.network = [&](const Tensor& x, const Tensor&, const Tensor&) { return x * w; },
                         .process = *process,
                         .objective = {},
                         .optimizer = optimizer,
                         .ema = &ema,
                         .max_grad_norm = 0.05,
                         .group = &group};
  Rng rng(3);  // of all pictures' noise: each member takes its rows
  for (const int64_t pictures : {4, 3, 1}) {
    Tensor x0 = rng.normal({pictures, 3, 4, 4});
    NoiseDraw draw = draw_noise(x0, *process, {}, rng);
    const int64_t first = pictures * group.rank() / group.size();
    const int64_t count = pictures * (group.rank() + 1) / group.size() - first;
    for (Tensor* part : {&x0, &draw.eps, &draw.level}) *part = part->narrow(0, first, count);
    const auto result = train_step(
        parts, {.x0 = x0, .weight = static_cast<double>(count) / static_cast<double>(pictures), .images = pictures},
        draw);
    EXPECT_EQ(result.outcome, StepOutcome::updated);
    EXPECT_GT(result.grad_norm.value_or(0), 0.05);  // the clip has something to do
  }
  return {w.detach(), ema.state().at(0).second};
}

TEST(TrainStep, OfSharesIsThatOfTheWholeBatch) {
  ProcessGroup alone;
  const Trained expected = train_on_shares(alone);
  for (const int64_t size : {2, 3}) {
    std::vector<Trained> all(static_cast<size_t>(size));
    EXPECT_THAT(
        in_group(size, [&](ProcessGroup& group) { all[static_cast<size_t>(group.rank())] = train_on_shares(group); }),
        Each(""));
    for (const Trained& one : all) {
      EXPECT_TRUE(at::equal(one.weights, all[0].weights));
      EXPECT_TRUE(at::equal(one.average, all[0].average));
      EXPECT_LT((one.weights - expected.weights).abs().max().item<double>(), 1e-6);
      EXPECT_LT((one.average - expected.average).abs().max().item<double>(), 1e-6);
    }
  }
}

}  // namespace
}  // namespace unnoise
