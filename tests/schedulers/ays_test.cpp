#include "unnoise/schedulers/ays.h"

#include <gmock/gmock.h>

#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

TEST(Ays, TenStepsAreThePublishedOnes) {
  EXPECT_THAT(ays_sigmas("sd", 10),
              testing::ElementsAre(14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0));
  EXPECT_EQ(ays_timesteps("sdxl").front(), 999);
  EXPECT_EQ(ays_timesteps("sdxl").size(), 10u);
}

TEST(Ays, OtherNumbersAreLogLinearBetween) {
  const auto sigmas = ays_sigmas("svd", 19);
  ASSERT_EQ(sigmas.size(), 20u);
  EXPECT_EQ(sigmas[0], 700);
  EXPECT_NEAR(sigmas[1], std::sqrt(700 * 54.5), 1e-9);
  EXPECT_NEAR(sigmas[18], 0.034, 1e-12);
  EXPECT_EQ(ays_sigmas("sd", 1).size(), 2u);
}

TEST(Ays, SaysWhatIsWrong) {
  EXPECT_THROW(ays_sigmas("sd2", 10), Error);
  EXPECT_THROW(ays_sigmas("sd", 0), Error);
  EXPECT_THROW(ays_timesteps("svd"), Error);
}

}  // namespace
}  // namespace unnoise
