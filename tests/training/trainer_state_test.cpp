#include "unnoise/training/trainer_state.h"

#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unnoise/core/error.h"
#include "unnoise/nn/rng.h"
#include "unnoise/training/optimizer.h"

namespace unnoise {
namespace {

TEST(TrainerState, ComesBackAsItWas) {
  Rng rng(3);
  rng.normal({5});
  const Tensor weight = at::ones({2}).set_requires_grad(true);
  weight.mutable_grad() = at::ones({2});
  Optimizer optimizer({{"w", weight}}, {});
  optimizer.step();
  const TrainerState state{.epoch = 2,
                           .global_step = 31,
                           .micro_batch = 62,
                           .random = {{"noise", rng.state()}},
                           .optimizer = optimizer.state(),
                           .health = {{"steps", 31}},
                           .grad_scaler = {{"scale", 65536.0}}};
  const Json numbers = parse_json(dump_json(trainer_numbers(state)), "trainer_state.json");
  const TrainerState again = trainer_state(numbers, trainer_tensors(state), "checkpoint-31");
  EXPECT_EQ(again.epoch, 2);
  EXPECT_EQ(again.global_step, 31);
  EXPECT_EQ(again.micro_batch, 62);
  EXPECT_EQ(again.health, state.health);
  EXPECT_EQ(again.grad_scaler, state.grad_scaler);

  Rng other;
  ASSERT_EQ(again.random.size(), 1u);
  EXPECT_EQ(again.random[0].first, "noise");
  other.set_state(again.random[0].second);
  EXPECT_TRUE(other.normal({5}).equal(rng.normal({5})));

  Optimizer fresh({{"w", at::ones({2}).set_requires_grad(true)}}, {});
  fresh.load_state(again.optimizer, "checkpoint-31");
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(fresh.state()[i].second.equal(optimizer.state()[i].second));
}

TEST(TrainerState, NamesWhatIsWrong) {
  const Json good = trainer_numbers({});
  const auto message = [](const Json& numbers, const StateDict& tensors) -> std::string {
    try {
      trainer_state(numbers, tensors, "checkpoint-7");
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::data);
      return e.message();
    }
    return "";
  };
  Json negative = good, text = good, missing = good;
  negative["micro_batch"] = -1;
  text["epoch"] = "two";
  missing.erase("global_step");
  EXPECT_EQ(message(negative, {}), "checkpoint-7: \"micro_batch\": expected a whole number from 0, found -1");
  EXPECT_THAT(message(text, {}), testing::HasSubstr("\"epoch\""));
  EXPECT_EQ(message(missing, {}), "checkpoint-7: \"global_step\" is missing");
  EXPECT_EQ(message(Json::array(), {}), "checkpoint-7: expected a JSON object");
  EXPECT_EQ(message(good, {{"weights", at::ones({1})}}), "checkpoint-7: unexpected tensor \"weights\"");
  EXPECT_EQ(message(good, {}), "");
}

}  // namespace
}  // namespace unnoise
