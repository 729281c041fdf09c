#include "unnoise/training/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace unnoise {
namespace {

using ::testing::HasSubstr;

TEST(TrainingHealth, IsQuietInAHealthyRun) {
  TrainingHealth health;
  for (int i = 0; i < 2000; ++i) {
    const double noise = 1 + 0.8 * std::sin(12.9898 * i);  // batches differ by a factor of nine
    EXPECT_FALSE(health.look(0.02 * noise + std::exp(-i / 50.0), 0.3, 1e-3)) << i;
  }
}

TEST(TrainingHealth, SeesALossThatExplodes) {
  TrainingHealth health;
  for (int i = 0; i < 200; ++i) EXPECT_FALSE(health.look(0.05, 1, 1e-3));
  std::optional<std::string> said;
  int steps = 0;
  for (; steps < 100 && !said; ++steps) said = health.look(0.5, 1, 1e-3);
  ASSERT_TRUE(said);
  EXPECT_THAT(*said, HasSubstr("exploding"));
  EXPECT_LT(steps, 20);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(health.look(0.5, 1, 1e-3)) << "said once is enough";
}

// A run that is stopped and resumed is warned where an uninterrupted one would have been, and not again.
TEST(TrainingHealth, GoesOnFromItsState) {
  TrainingHealth whole, first, second;
  for (int i = 0; i < 60; ++i) {
    whole.look(0.05, 0, i < 55 ? 0 : 1e-3);
    first.look(0.05, 0, i < 55 ? 0 : 1e-3);
  }
  second.load_state(parse_json(dump_json(first.state()), "s"), "s");
  int said = 0;
  for (int i = 0; i < 40; ++i) {
    const auto expected = whole.look(0.5, 0, 1e-3), found = second.look(0.5, 0, 1e-3);
    EXPECT_EQ(found, expected) << i;
    said += found.has_value();
  }
  EXPECT_EQ(said, 2);
  TrainingHealth third;
  third.load_state(second.state(), "s");
  for (int i = 0; i < 40; ++i) EXPECT_FALSE(third.look(0.5, 0, 1e-3)) << "said once is enough";
}

TEST(TrainingHealth, SeesADeadNetworkButNotAPause) {
  TrainingHealth health;
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(health.look(1, 0, 0)) << "a warm-up begins at rate 0";
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(health.look(1, 0, 1e-3));
  EXPECT_THAT(health.look(1, 0, 1e-3).value_or(""), HasSubstr("dead"));
}

}  // namespace
}  // namespace unnoise
