#include "unnoise/schedulers/timesteps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using enum TimestepSpacing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Timesteps, TenOfAThousandAreThoseOfDiffusers) {
  EXPECT_THAT(spaced_timesteps({leading, 0}, 10, 1000), ElementsAre(900, 800, 700, 600, 500, 400, 300, 200, 100, 0));
  EXPECT_THAT(spaced_timesteps({leading, 1}, 5, 1000), ElementsAre(801, 601, 401, 201, 1));
  EXPECT_THAT(spaced_timesteps({linspace, 0}, 10, 1000), ElementsAre(999, 888, 777, 666, 555, 444, 333, 222, 111, 0));
  EXPECT_THAT(spaced_timesteps({trailing, 0}, 10, 1000), ElementsAre(999, 899, 799, 699, 599, 499, 399, 299, 199, 99));
}

TEST(Timesteps, AnyNumberOfStepsFallsStrictlyWithinTheTable) {
  for (const int64_t train : {1, 2, 50, 1000, 1100})
    for (const auto spacing : {leading, linspace, trailing})
      for (const int64_t offset : {0, 1, 7})
        for (int64_t steps = 1; steps <= train; ++steps) {
          const auto t = spaced_timesteps({spacing, offset}, steps, train);
          ASSERT_EQ(t.size(), static_cast<size_t>(steps));
          ASSERT_NO_THROW(whole_timesteps({t.begin(), t.end()}, train))
              << enum_name(spacing) << " " << steps << " of " << train;
        }
}

TEST(Timesteps, TheOffsetShrinksWhereItWouldLeaveTheTable) {
  EXPECT_EQ(spaced_timesteps({leading, 1}, 999, 1000).front(), 999);
  EXPECT_EQ(spaced_timesteps({leading, 1}, 1000, 1000).front(), 999);  // diffusers: 1000, an index error
  EXPECT_EQ(spaced_timesteps({leading, 1}, 1000, 1000).back(), 0);
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.message();
  }
  return "no error";
}

TEST(Timesteps, SaysWhatIsWrongWithAList) {
  const auto custom = [](std::vector<double> t) { return error_of([&] { whole_timesteps(t, 1000); }); };
  EXPECT_THAT(custom({}), HasSubstr("empty"));
  EXPECT_THAT(custom({1000, 5}), HasSubstr("expected whole numbers from 999 down to 0, found 1000"));
  EXPECT_THAT(custom({5, -1}), HasSubstr("found -1"));
  EXPECT_THAT(custom({5, 2.5}), HasSubstr("found 2.5"));
  EXPECT_THAT(custom({5, 5}), HasSubstr("expected a falling list, found 5 after 5"));
}

TEST(Timesteps, MoreStepsThanTrainingTimestepsIsAUsageError) {
  EXPECT_THAT(error_of([] { spaced_timesteps({}, 1001, 1000); }),
              HasSubstr("1001 is more than the 1000 timesteps that the model was trained with"));
  EXPECT_THAT(error_of([] { spaced_timesteps({}, 0, 1000); }), HasSubstr("expected at least 1, found 0"));
  EXPECT_THAT(error_of([] { spaced_timesteps({leading, -1}, 10, 1000); }), HasSubstr("steps_offset"));
}

}  // namespace
}  // namespace unnoise
