#include "unnoise/training/lr_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using enum LrScheduleType;

std::string error_of(const LrScheduleOptions& options) {
  try {
    LrSchedule schedule(options);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.message();
  }
  return "";
}

// The course's run of the script: 1600 updates, 500 of them warm-up.
TEST(LrSchedule, CosineWarmsUpThenFallsToZero) {
  const LrSchedule schedule({.type = cosine, .warmup_steps = 500, .total_steps = 1600});
  EXPECT_EQ(schedule.multiplier(0), 0.0);
  EXPECT_EQ(schedule.multiplier(250), 0.5);
  EXPECT_EQ(schedule.multiplier(500), 1.0);
  EXPECT_NEAR(schedule.multiplier(1050), 0.5, 1e-15);
  EXPECT_NEAR(schedule.multiplier(1599), 2.04e-6, 1e-8);  // (pi/1100)^2 / 4
  EXPECT_EQ(schedule.multiplier(1600), 0.0);
}

TEST(LrSchedule, LinearFallsToZeroAndStaysThere) {
  const LrSchedule schedule({.type = linear, .warmup_steps = 10, .total_steps = 110});
  EXPECT_DOUBLE_EQ(schedule.multiplier(5), 0.5);
  EXPECT_DOUBLE_EQ(schedule.multiplier(10), 1.0);
  EXPECT_DOUBLE_EQ(schedule.multiplier(60), 0.5);
  EXPECT_EQ(schedule.multiplier(110), 0.0);
  EXPECT_EQ(schedule.multiplier(500), 0.0);
}

TEST(LrSchedule, RestartsBeginAgainAtOne) {
  const LrSchedule schedule({.type = cosine_with_restarts, .total_steps = 100, .num_cycles = 4});
  for (const int64_t step : {0, 25, 50, 75}) EXPECT_DOUBLE_EQ(schedule.multiplier(step), 1.0) << step;
  EXPECT_LT(schedule.multiplier(24), 0.01);
  EXPECT_EQ(schedule.multiplier(100), 0.0);
}

TEST(LrSchedule, PolynomialEndsAtItsLastRate) {
  const LrSchedule schedule(
      {.type = polynomial, .total_steps = 100, .learning_rate = 1e-3, .end_learning_rate = 1e-4, .power = 2.0});
  EXPECT_DOUBLE_EQ(schedule.multiplier(0), 1.0);
  EXPECT_DOUBLE_EQ(schedule.multiplier(50), (9e-4 * 0.25 + 1e-4) / 1e-3);
  EXPECT_DOUBLE_EQ(schedule.multiplier(100), 0.1);
  EXPECT_DOUBLE_EQ(schedule.multiplier(1000), 0.1);
}

TEST(LrSchedule, PolynomialWithNothingAfterWarmupDoesNotDivideByZero) {
  const LrSchedule schedule({.type = polynomial, .warmup_steps = 10, .total_steps = 10});
  EXPECT_DOUBLE_EQ(schedule.multiplier(10), 1e-3);
}

TEST(LrSchedule, ConstantIgnoresWarmupAndItsTwinDoesNot) {
  EXPECT_EQ(LrSchedule({.type = constant, .warmup_steps = 10}).multiplier(0), 1.0);
  const LrSchedule warm({.type = constant_with_warmup, .warmup_steps = 10});
  EXPECT_DOUBLE_EQ(warm.multiplier(3), 0.3);
  EXPECT_EQ(warm.multiplier(10), 1.0);
  EXPECT_EQ(warm.multiplier(100000), 1.0);
}

TEST(LrSchedule, PiecewiseRulesAreReadInAnyOrder) {
  for (const char* rules : {"1:10,0.1:20,0.005", "0.1:20, 1:10, 0.005", " 1 : 10 ,1e-1:20,.005"}) {
    const LrSchedule schedule({.type = piecewise_constant, .step_rules = rules});
    EXPECT_EQ(schedule.multiplier(0), 1.0) << rules;
    EXPECT_EQ(schedule.multiplier(9), 1.0) << rules;
    EXPECT_EQ(schedule.multiplier(10), 0.1) << rules;
    EXPECT_EQ(schedule.multiplier(19), 0.1) << rules;
    EXPECT_EQ(schedule.multiplier(20), 0.005) << rules;
  }
  EXPECT_EQ(LrSchedule({.type = piecewise_constant, .step_rules = "0.5"}).multiplier(3), 0.5);
}

TEST(LrSchedule, NamesTheRuleThatCannotBeRead) {
  for (const char* rules :
       {"", "1:10", "1:10,", "a:10,1", "1:x,1", "1,2", "1:10:3,1", "1:,1", ":5,1", ",", "1:10,0.1x"})
    EXPECT_THAT(error_of({.type = piecewise_constant, .step_rules = rules}), testing::StartsWith("step_rules"))
        << rules;
}

TEST(LrSchedule, RefusesWhatCannotBe) {
  EXPECT_THAT(error_of({.warmup_steps = -1}), testing::HasSubstr("warmup_steps"));
  EXPECT_THAT(error_of({.total_steps = -1}), testing::HasSubstr("total_steps"));
  EXPECT_THAT(error_of({.num_cycles = 0}), testing::HasSubstr("num_cycles"));
  EXPECT_THAT(error_of({.type = polynomial, .learning_rate = 1e-8}), testing::HasSubstr("not below the learning rate"));
}

}  // namespace
}  // namespace unnoise
