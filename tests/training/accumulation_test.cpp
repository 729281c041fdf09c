#include "unnoise/training/accumulation.h"

#include <gtest/gtest.h>

#include <map>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

TEST(AccumulationPlan, WithoutAccumulationEveryBatchIsAnUpdate) {
  const AccumulationPlan plan(1000, 64, 1);
  EXPECT_EQ(plan.batches_per_epoch(), 16);
  EXPECT_EQ(plan.updates_per_epoch(), 16);
  for (int64_t batch = 0; batch < 40; ++batch) {
    EXPECT_TRUE(plan.ends_group(batch));
    EXPECT_EQ(plan.weight(batch), 1.0);  // exactly: the loss is then not touched
    EXPECT_EQ(plan.updates_before(batch), batch);
    EXPECT_EQ(plan.first_batch(batch), batch);
  }
  EXPECT_EQ(plan.samples(15), 1000 - 15 * 64);
  EXPECT_EQ(plan.samples(16), 64);
}

TEST(AccumulationPlan, AGroupEndsWithItsEpoch) {
  const AccumulationPlan plan(10 * 4, 4, 4);  // 10 micro-batches: groups of 4, 4, 2
  EXPECT_EQ(plan.updates_per_epoch(), 3);
  for (const int64_t epoch : {0, 1, 7})
    for (int64_t i = 0; i < 10; ++i) {
      const int64_t batch = epoch * 10 + i;
      EXPECT_EQ(plan.epoch(batch), epoch);
      EXPECT_EQ(plan.ends_group(batch), i == 3 || i == 7 || i == 9) << i;
      EXPECT_EQ(plan.weight(batch), i < 8 ? 0.25 : 0.5) << i;
      EXPECT_EQ(plan.updates_before(batch), epoch * 3 + i / 4);
    }
}

TEST(AccumulationPlan, AShortMicroBatchCountsLess) {
  const AccumulationPlan plan(11, 4, 2);  // micro-batches of 4, 4, 3: groups (4,4) and (3)
  EXPECT_EQ(plan.weight(0), 0.5);
  EXPECT_EQ(plan.weight(2), 1.0);
  const AccumulationPlan one_group(11, 4, 3);
  EXPECT_DOUBLE_EQ(one_group.weight(0), 4.0 / 11.0);
  EXPECT_DOUBLE_EQ(one_group.weight(2), 3.0 / 11.0);
}

TEST(AccumulationPlan, PropertiesHoldForManySettings) {
  for (int64_t samples : {1, 5, 6, 16, 97})
    for (int64_t batch_size : {1, 2, 7, 200})
      for (int64_t accumulation : {1, 2, 3, 50}) {
        const AccumulationPlan plan(samples, batch_size, accumulation);
        std::map<int64_t, double> weight_of_update;
        int64_t updates = 0, seen = 0;
        for (int64_t batch = 0; batch < 3 * plan.batches_per_epoch(); ++batch) {
          EXPECT_EQ(plan.updates_before(batch), updates);
          if (batch == plan.first_batch(updates)) EXPECT_EQ(plan.updates_before(plan.first_batch(updates)), updates);
          weight_of_update[updates] += plan.weight(batch);
          seen += plan.samples(batch);
          if (plan.ends_group(batch)) EXPECT_EQ(plan.first_batch(++updates), batch + 1);
        }
        EXPECT_EQ(updates, 3 * plan.updates_per_epoch());
        EXPECT_EQ(seen, 3 * samples);
        for (const auto& [update, weight] : weight_of_update) EXPECT_NEAR(weight, 1.0, 1e-12) << update;
      }
}

TEST(AccumulationPlan, RefusesCountsBelowOne) {
  EXPECT_THROW(AccumulationPlan(0, 1, 1), Error);
  EXPECT_THROW(AccumulationPlan(1, 0, 1), Error);
  EXPECT_THROW(AccumulationPlan(1, 1, 0), Error);
}

}  // namespace
}  // namespace unnoise
