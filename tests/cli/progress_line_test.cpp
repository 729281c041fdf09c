#include "apps/cli/progress_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/cli/terminal.h"

namespace unnoise::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

Progress training() { return {"train", 420, 1000, "epoch 3  loss 0.0412  lr 1.0e-04", 38.14, 130}; }

TEST(ProgressLine, SaysDurationsAsPeopleDo) {
  EXPECT_EQ(duration(0.4), "0 s");
  EXPECT_EQ(duration(59), "59 s");
  EXPECT_EQ(duration(130), "2m 10s");
  EXPECT_EQ(duration(3900), "1h 05m");
  EXPECT_EQ(duration(3 * 86400 + 4 * 3600), "3d 4h");
}

TEST(ProgressLine, HasEverythingInALog) {
  EXPECT_EQ(plain_progress(training()),
            "train   42%   420/1000  epoch 3  loss 0.0412  lr 1.0e-04  38.1 pictures/s  2m 10s left");
  EXPECT_EQ(plain_progress({"scan data", 1234, 0, "cats", 0, -1}), "scan data  1234  cats");
  EXPECT_EQ(plain_progress({"train", 1000, 1000, "", 0, 0}), "train  100%  1000/1000");
}

TEST(ProgressLine, FitsAnyWidth) {
  for (size_t columns = 1; columns <= 200; ++columns)
    for (const bool unicode : {false, true})
      EXPECT_LE(display_width(bar_progress(training(), columns, unicode)), columns);
}

TEST(ProgressLine, GivesUpWhatIsLeastNeeded) {
  EXPECT_THAT(bar_progress(training(), 120, true), HasSubstr("38.1 pictures/s"));
  EXPECT_THAT(bar_progress(training(), 120, true), HasSubstr("███"));
  const std::string narrow = bar_progress(training(), 78, true);
  EXPECT_THAT(narrow, Not(HasSubstr("pictures/s")));
  EXPECT_THAT(narrow, HasSubstr("loss 0.0412"));
  EXPECT_THAT(bar_progress(training(), 40, true), HasSubstr("42%   420/1000  2m 10s left"));
}

TEST(ProgressLine, DrawsTheBarInEighths) {
  const auto drawn = [](int64_t done) { return bar_progress({"x", done, 192, "", 0, -1}, 200, true); };
  EXPECT_THAT(drawn(0), HasSubstr("x ░░░░░░░░░░░░░░░░░░░░░░░░  "));
  EXPECT_THAT(drawn(12), HasSubstr("x █▌░░░░░░░░░░░░░░░░░░░░░░  "));
  EXPECT_THAT(drawn(192), HasSubstr("x ████████████████████████  "));
  EXPECT_THAT(bar_progress({"x", 1, 2, "", 0, -1}, 200, false), HasSubstr("[###########-----------]"));
}

TEST(PlainPace, SpeaksEveryTenSecondsOrTenth) {
  PlainPace pace;
  const auto at = [&](int64_t done, double seconds) { return pace.due({"train", done, 1000, "", 0, -1}, seconds); };
  EXPECT_FALSE(at(0, 0));
  EXPECT_FALSE(at(100, 0.5));  // a tenth, but at once
  EXPECT_TRUE(at(110, 1.5));
  EXPECT_FALSE(at(150, 5));
  EXPECT_TRUE(at(151, 11.6));
  EXPECT_TRUE(at(200, 12.7));
  EXPECT_TRUE(at(1000, 12.8));  // the end, always
  EXPECT_FALSE(at(1000, 60));   // and once
}

TEST(PlainPace, FollowsAStageInsideAnother) {
  PlainPace pace;
  EXPECT_FALSE(pace.due({"train", 1, 100, "", 0, -1}, 0));
  EXPECT_FALSE(pace.due({"sample", 1, 50, "", 0, -1}, 1));
  EXPECT_TRUE(pace.due({"sample", 50, 50, "", 0, -1}, 2));
  EXPECT_FALSE(pace.due({"train", 2, 100, "", 0, -1}, 3));
  EXPECT_FALSE(pace.due({"sample", 1, 50, "", 0, -1}, 4));  // the second grid
  EXPECT_TRUE(pace.due({"sample", 50, 50, "", 0, -1}, 4.5));
}

}  // namespace
}  // namespace unnoise::cli
