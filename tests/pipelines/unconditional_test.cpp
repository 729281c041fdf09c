#include "unnoise/pipelines/unconditional.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

using ::testing::HasSubstr;

/// diffusers' network for its pipeline tests; 11767 parameters.
Unconditional tiny(std::string_view scheduler, const Json& more = Json::object()) {
  Json config{{"block_out_channels", {4, 8}},
              {"layers_per_block", 1},
              {"norm_num_groups", 4},
              {"sample_size", 8},
              {"down_block_types", {"DownBlock2D", "AttnDownBlock2D"}},
              {"up_block_types", {"AttnUpBlock2D", "UpBlock2D"}}};
  config.update(more);
  Rng init(0);
  return {std::make_shared<UNet2D>(unet2d_options(config), &init), make_scheduler(scheduler)};
}

class UnconditionalFolder : public ::testing::Test {
 protected:
  UnconditionalFolder() { fs::remove_all(folder_); }
  ~UnconditionalFolder() override { fs::remove_all(folder_); }
  const fs::path folder_ = fs::path(::testing::TempDir()) / ("unnoise-unconditional-" + std::to_string(::getpid()));
};

template <class F>
Error error_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  return usage_error("no error");
}

TEST(Unconditional, DrawsThePicturesOfDiffusers) {
  struct Row {
    const char* scheduler;
    std::array<double, 9> corner;  // picture[-3:, -3:] of the last channel, in [0,1]
    double sum;
    double digits;
  };
  const std::vector<Row> rows{
      {"ddpm", {0, .9996672, .00329116, 1, .9995991, 1, .0060907, .00115037, 0}, 88.72376, 2e-6},
      {"ddim", {0, .9979, 0, .9999, .9986, .9991, .0007106, 0, 0}, 88.69357, 1e-4},  // four digits are quoted
  };
  for (const Row& row : rows) {
    const Tensor image = (tiny(row.scheduler).sample({.steps = 2}) / 2 + 0.5).clamp(0, 1);
    EXPECT_NEAR(image.sum().item<double>(), row.sum, 1e-4 * row.sum) << row.scheduler;
    for (int64_t i = 0; i < 9; ++i)
      EXPECT_NEAR(image[0][2][5 + i / 3][5 + i % 3].item<double>(), row.corner[static_cast<size_t>(i)], row.digits)
          << row.scheduler;
  }
}

TEST(Unconditional, WithSeedsAPictureDoesNotDependOnItsBatch) {
  const auto pipe = tiny("ddpm");
  const std::vector<uint64_t> seeds{5, 6, 7};
  const Tensor together = pipe.sample({.steps = 3, .seeds = seeds});
  const Tensor apart = pipe.sample({.batch = 2, .steps = 3, .seeds = seeds});
  ASSERT_EQ(together.sizes(), (Shape{3, 3, 8, 8}));
  // another batch size may choose another convolution kernel: a few ulps
  EXPECT_LT((together - apart).abs().max().item<double>(), 1e-5);
  EXPECT_LT((together.narrow(0, 2, 1) - pipe.sample({.steps = 3, .seed = 7})).abs().max().item<double>(), 1e-5);
}

TEST(Unconditional, OneSeedIsOneStreamThroughAllBatches) {
  const auto pipe = tiny("ddim");
  const Tensor images = pipe.sample({.num_images = 3, .batch = 2, .steps = 2, .seed = 4});
  EXPECT_TRUE(images.narrow(0, 0, 2).equal(pipe.sample({.batch = 2, .steps = 2, .seed = 4})));
  EXPECT_EQ(images.size(0), 3);
}

TEST(Unconditional, ShowsEachStepAndItsProgress) {
  const auto pipe = tiny("ddim");
  std::vector<std::array<int64_t, 3>> seen;
  std::vector<int64_t> done;
  Tensor last;
  SampleRequest request{.num_images = 2, .batch = 1, .steps = 2};
  request.on_step = [&](const SampleStep& step) {
    seen.push_back({step.first_image, step.step, step.steps});
    last = step.x;
    EXPECT_EQ(step.x0.sizes(), step.x.sizes());
  };
  Observer observer;
  observer.on_progress = [&](const Progress& p) {
    EXPECT_EQ(p.total, 4);
    done.push_back(p.done);
  };
  const Tensor images = pipe.sample(request, observer);
  EXPECT_THAT(seen, ::testing::ElementsAre(std::array<int64_t, 3>{0, 1, 2}, std::array<int64_t, 3>{0, 2, 2},
                                           std::array<int64_t, 3>{1, 1, 2}, std::array<int64_t, 3>{1, 2, 2}));
  EXPECT_THAT(done, ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(last.equal(images.narrow(0, 1, 1)));
}

TEST(Unconditional, StopsBetweenStepsWithTheFinishedBatches) {
  const auto pipe = tiny("ddim");
  std::stop_source source;
  SampleRequest request{.num_images = 2, .batch = 1, .steps = 2};
  request.on_step = [&](const SampleStep& step) {
    if (step.first_image == 1) source.request_stop();
  };
  EXPECT_EQ(pipe.sample(request, {}, source.get_token()).size(0), 1);
  EXPECT_FALSE(pipe.sample(request, {}, source.get_token()).defined());
}

TEST(Unconditional, DrawsTheAskedClassAtTheAskedSize) {
  const auto pipe = tiny("ddim", {{"num_class_embeds", 3}});
  const Tensor one = pipe.sample({.num_images = 2, .steps = 2, .height = 4, .width = 16, .class_labels = {1}});
  EXPECT_EQ(one.sizes(), (Shape{2, 3, 4, 16}));
  const Tensor each =
      pipe.sample({.num_images = 2, .batch = 1, .steps = 2, .height = 4, .width = 16, .class_labels = {1, 2}});
  EXPECT_LT((one[0] - each[0]).abs().max().item<double>(), 1e-5);
  EXPECT_GT((one[1] - each[1]).abs().max().item<double>(), 1e-5);
}

TEST(Unconditional, DropoutIsOffWhileSampling) {
  auto pipe = tiny("ddim", {{"dropout", 0.5}});
  const Tensor calm = pipe.sample({.steps = 2});
  pipe.unet->train();
  EXPECT_TRUE(pipe.sample({.steps = 2}).equal(calm));
  EXPECT_TRUE(pipe.unet->is_training());
}

TEST(Unconditional, RefusesARequestThatDoesNotFit) {
  const auto pipe = tiny("ddim"), classes = tiny("ddim", {{"num_class_embeds", 3}});
  const auto message = [](const Unconditional& p, const SampleRequest& r) {
    return error_of([&] { p.sample(r); }).message();
  };
  EXPECT_THAT(message(pipe, {.steps = 2000}), HasSubstr("2000 is more than the 1000"));
  EXPECT_THAT(message(pipe, {.num_images = 0}), HasSubstr("num_images"));
  EXPECT_THAT(message(pipe, {.batch = 0}), HasSubstr("batch"));
  EXPECT_THAT(message(pipe, {.num_images = 3, .seeds = {1, 2}}), HasSubstr("found 2 for 3 pictures"));
  EXPECT_THAT(message(pipe, {.height = 7}), HasSubstr("height: expected a multiple of 2, found 7"));
  EXPECT_THAT(message(pipe, {.class_labels = {1}}), HasSubstr("without classes"));
  EXPECT_THAT(message(classes, {}), HasSubstr("expected 1 or 1 labels, found 0"));
  EXPECT_THAT(message(classes, {.class_labels = {3}}), HasSubstr("expected 0 to 2, found 3"));
}

TEST(Unconditional, SaysWhichPictureIsNotFinite) {
  auto pipe = tiny("ddim");
  pipe.unet->parameters().front().detach().fill_(std::nan(""));
  const Error error = error_of([&] { pipe.sample({.num_images = 2, .steps = 2}); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.message(), HasSubstr("NaN or infinity in picture 0, 1"));
}

TEST_F(UnconditionalFolder, ComesBackAsItWasSaved) {
  auto pipe = tiny("ddim");
  pipe.unet_config["made_up"] = 3;
  pipe.model_index["_name_or_path"] = "somewhere";
  pipe.save(folder_);
  const auto back = Unconditional::load(folder_);
  EXPECT_TRUE(back.sample({.steps = 2}).equal(pipe.sample({.steps = 2})));
  EXPECT_EQ(back.model_index["_class_name"], "DDIMPipeline");
  EXPECT_EQ(back.model_index["scheduler"], Json({"diffusers", "DDIMScheduler"}));
  back.save(folder_);
  EXPECT_EQ(read_json(folder_ / "unet" / "config.json")["made_up"], 3);
  EXPECT_EQ(read_json(folder_ / "model_index.json")["_name_or_path"], "somewhere");
}

TEST_F(UnconditionalFolder, MayBeFlat) {
  const auto pipe = tiny("ddpm");
  pipe.save(folder_);
  for (const auto* part : {"unet", "scheduler"}) {
    for (const auto& file : fs::directory_iterator(folder_ / part))
      fs::rename(file.path(), folder_ / file.path().filename());
    fs::remove(folder_ / part);
  }
  fs::remove(folder_ / "model_index.json");
  EXPECT_TRUE(Unconditional::load(folder_).sample({.steps = 2}).equal(pipe.sample({.steps = 2})));
}

TEST_F(UnconditionalFolder, ADdimPipelineTurnsItsSchedulerIntoDdim) {
  tiny("ddpm").save(folder_);
  Json index = read_json(folder_ / "model_index.json");
  index["_class_name"] = "DDIMPipeline";
  write_json(folder_ / "model_index.json", index);
  EXPECT_EQ(Unconditional::load(folder_).scheduler->class_name(), "DDIMScheduler");
}

TEST_F(UnconditionalFolder, SaysWhichFileIsWrong) {
  const auto message = [&] { return error_of([&] { Unconditional::load(folder_); }).message(); };
  EXPECT_THAT(message(), HasSubstr("no model folder"));

  const auto set = [&](const char* file, const char* key, const Json& value) {
    tiny("ddpm").save(folder_);
    Json json = read_json(folder_ / file);
    json[key] = value;
    write_json(folder_ / file, json);
  };
  set("scheduler/scheduler_config.json", "beta_schedule", "liner");
  const Error error = error_of([&] { Unconditional::load(folder_); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.message(), HasSubstr("scheduler\": DDPMScheduler: beta_schedule: \"liner\" is not one of"));
  EXPECT_THAT(error.hint(), HasSubstr("linear"));

  set("unet/config.json", "_class_name", "UNet2DConditionModel");
  EXPECT_THAT(message(), HasSubstr("expected a UNet2DModel"));
  set("unet/config.json", "layers_per_block", 2);
  EXPECT_THAT(message(), HasSubstr("unet"));
  set("model_index.json", "vae", {"diffusers", "AutoencoderKL"});
  EXPECT_THAT(message(), HasSubstr("with vae; expected an unconditional pipeline"));
}

}  // namespace
}  // namespace unnoise
