#include "unnoise/training/ema.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using Table = std::vector<std::pair<int64_t, double>>;

void expect_decays(const EmaOptions& options, const Table& table) {
  for (const auto& [step, decay] : table) EXPECT_NEAR(ema_decay(options, step), decay, 1e-6) << step;
}

// Tables of diffusers' EMAModel, printed with six digits.
TEST(EmaDecay, FollowsDiffusersWithoutWarmup) {
  expect_decays(
      {},
      {{1, 0}, {2, .181818}, {3, .25}, {4, .307692}, {10, .526316}, {100, .917431}, {1000, .991080}, {100000, .9999}});
}

TEST(EmaDecay, FollowsDiffusersWithWarmup) {
  expect_decays({.use_ema_warmup = true, .power = 0.75}, {{1, 0},
                                                          {2, .405396},
                                                          {3, .561309},
                                                          {4, .646447},
                                                          {10, .822172},
                                                          {100, .968377},
                                                          {1000, .994377},
                                                          {10000, .999},
                                                          {100000, .999822}});
  expect_decays({.use_ema_warmup = true}, {{1, 0}, {2, .370039}, {4, .603150}, {1000, .99}, {100000, .999536}});
}

TEST(EmaDecay, IsHeldBetweenItsBoundsAndWaits) {
  const EmaOptions options{.decay = 0.5, .min_decay = 0.3, .update_after_step = 10};
  EXPECT_EQ(ema_decay(options, 11), 0.0);
  EXPECT_EQ(ema_decay(options, 12), 0.3);
  EXPECT_EQ(ema_decay(options, 1000), 0.5);
}

TEST(Ema, AveragesInClosedForm) {
  const Tensor p = at::full({3}, 1.0).set_requires_grad(true);
  Ema ema({{"p", p}}, {.decay = 0.9, .min_decay = 0.9});
  ema.step();  // decay 0: a copy
  {
    c10::NoGradGuard no_grad;
    p.zero_();
  }
  for (int i = 0; i < 20; ++i) ema.step();
  EXPECT_EQ(ema.optimization_step(), 21);
  EXPECT_EQ(ema.current_decay(), 0.9);
  EXPECT_NEAR(ema.state()[0].second[0].item<double>(), std::pow(0.9, 20), 1e-6);  // float32 sums
}

TEST(Ema, CopiesWhatDoesNotTrain) {
  const Tensor frozen = at::ones({2});
  Ema ema({{"frozen", frozen}}, {.min_decay = 0.9});
  ema.step();
  frozen.fill_(5.0);
  ema.step();
  EXPECT_TRUE(ema.state()[0].second.equal(frozen));
}

TEST(Ema, ScopeLendsTheAveragesAndGivesTheWeightsBackBitForBit) {
  const Tensor p = at::randn({100}).set_requires_grad(true);
  Ema ema({{"p", p}});
  {
    c10::NoGradGuard no_grad;
    p.mul_(3.0);
  }
  const Tensor before = p.detach().clone();
  {
    const EmaScope scope(ema);
    EXPECT_TRUE(p.equal(ema.state()[0].second));
    EXPECT_FALSE(p.equal(before));
    EXPECT_THROW(EmaScope nested(ema), Error);  // it would forget the weights
  }
  EXPECT_TRUE(p.equal(before));
  EXPECT_TRUE(p.requires_grad());
  EXPECT_THROW(ema.restore(), Error);
}

TEST(Ema, GoesOnFromItsSavedState) {
  const Tensor p = at::randn({10}).set_requires_grad(true);
  const EmaOptions options{.use_ema_warmup = true, .power = 0.75};
  Ema ema({{"p", p}}, options);
  for (int i = 0; i < 5; ++i) ema.step();

  const Json config = ema.config();
  EXPECT_EQ(config.dump(),
            "{\"decay\":0.9999,\"inv_gamma\":1.0,\"min_decay\":0.0,\"optimization_step\":5,\"power\":0.75,"
            "\"update_after_step\":0,\"use_ema_warmup\":true}");
  Ema again({{"p", at::randn({10})}});
  Json with_network = config;
  with_network["_class_name"] = "UNet2DModel";
  again.load(ema.state(), with_network, "unet_ema");
  EXPECT_EQ(again.optimization_step(), 5);
  EXPECT_EQ(again.current_decay(), ema.current_decay());
  EXPECT_EQ(again.config(), config);
  EXPECT_TRUE(again.state()[0].second.equal(ema.state()[0].second));
}

TEST(Ema, ABrokenSaveIsNamedAndChangesNothing) {
  Ema ema({{"p", at::ones({4})}});
  const Json good = ema.config();
  const auto message = [&](const StateDict& averages, const Json& config) -> std::string {
    try {
      ema.load(averages, config, "run/unet_ema");
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::data);
      return e.message();
    }
    return "";
  };
  const auto with = [&](const char* key, Json value) {
    Json config = good;
    config[key] = std::move(value);
    return config;
  };
  const StateDict fives{{"p", at::full({4}, 5.0)}};
  Json without = good;
  without.erase("power");
  EXPECT_EQ(message(fives, without), "run/unet_ema: \"power\" is missing");
  EXPECT_THAT(message(fives, with("decay", "high")), testing::HasSubstr("\"decay\""));
  EXPECT_THAT(message(fives, with("decay", 2.0)), testing::HasSubstr("EMA decay"));
  EXPECT_THAT(message(fives, with("optimization_step", 1.5)), testing::HasSubstr("optimization_step"));
  EXPECT_THAT(message(fives, with("optimization_step", -3)), testing::HasSubstr("optimization_step"));
  EXPECT_THAT(message({{"p", at::ones({5})}}, good), testing::HasSubstr("expected Float [4], found Float [5]"));
  EXPECT_THAT(message({{"q", at::ones({4})}}, good), testing::HasSubstr("1 missing: p; 1 unexpected: q"));
  EXPECT_TRUE(ema.state()[0].second.equal(at::ones({4})));
  EXPECT_EQ(ema.optimization_step(), 0);
}

}  // namespace
}  // namespace unnoise
