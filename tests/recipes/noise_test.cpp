#include "unnoise/recipes/noise.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/data/temporary_folder.h"
#include "unnoise/io/image_grid.h"
#include "unnoise/io/image_read.h"
#include "unnoise/pipelines/unconditional.h"

namespace unnoise {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSize = 8;

/// A picture of `kSize`, so that nothing is resized.
class NoiseStrip : public ::testing::Test {
 protected:
  NoiseStrip() {
    dir_.picture("cat.png", 3, kSize, kSize);
    options_.image = (dir_ / "cat.png").string();
    options_.output = (dir_ / "out/strip.png").string();
    options_.resolution = kSize;
    options_.seed = 5;
  }

  /// The picture as a network gets it, [1,3,8,8] in [-1,1].
  Tensor picture() const {
    const DecodedImage image = read_image(options_.image);
    Tensor bytes = at::empty({kSize, kSize, 3}, at::kByte);
    std::memcpy(bytes.mutable_data_ptr<uint8_t>(), image.pixels.data(), image.pixels.size());
    return bytes.permute({2, 0, 1}).unsqueeze(0).to(at::kFloat).div(255).sub(0.5).div(0.5);
  }
  Tensor noise() const { return Rng(5).normal({1, 3, kSize, kSize}); }
  /// Row and column count from 0.
  Image panel(int64_t row, int64_t column) const {
    const DecodedImage sheet = read_image(options_.output);
    Image out = blank_image(kSize, kSize, 3);
    for (int64_t y = 0; y < kSize; ++y)
      std::memcpy(out.row(y),
                  sheet.pixels.data() + ((2 + row * (kSize + 2) + y) * sheet.width + 2 + column * (kSize + 2)) * 3,
                  kSize * 3);
    return out;
  }
  std::string failure(const NoiseStripOptions& o) const {
    return error_of([&] { draw_noise_strip(o); });
  }

  const TemporaryFolder dir_;
  NoiseStripOptions options_;
};

TEST_F(NoiseStrip, EachPanelIsTheForwardProcess) {
  options_.names = {"linear", "squaredcos_cap_v2"};
  options_.timesteps = {0, 400, 999};
  const std::string text = draw_noise_strip(options_);
  for (int64_t row = 0; row < 2; ++row) {
    const NoiseSchedule schedule({.beta_schedule = row == 0 ? BetaSchedule::linear : BetaSchedule::squaredcos_cap_v2});
    for (size_t i = 0; i < 3; ++i) {
      const Tensor xt = schedule.add_noise(picture(), noise(), at::tensor({options_.timesteps[i]}));
      EXPECT_EQ(panel(row, static_cast<int64_t>(i)), to_images(xt)[0]) << row << " " << i;
    }
  }
  EXPECT_THAT(text, HasSubstr("row 2: squaredcos_cap_v2"));
  EXPECT_THAT(text, HasSubstr("      2       400      0.4400        0.8980"));
}

TEST_F(NoiseStrip, AnSvgIsLabelled) {
  options_.output = (dir_ / "strip.svg").string();
  options_.names = {"linear", "sigmoid"};
  options_.timesteps = {0, 999};
  draw_noise_strip(options_);
  const std::string svg = read_file(options_.output);
  for (const char* label : {">t = 0<", ">t = 999<", ">linear<", ">sigmoid<", "data:image/png"})
    EXPECT_THAT(svg, HasSubstr(label));
}

TEST_F(NoiseStrip, SaysWhatItShowsAsJson) {
  options_.json = true;
  const Json json = Json::parse(draw_noise_strip(options_));
  EXPECT_EQ(json["output"], options_.output);
  EXPECT_EQ(json["rows"][0]["timesteps"], Json({0.0, 111.0, 222.0, 333.0, 444.0, 555.0, 666.0, 777.0, 888.0, 999.0}));
  EXPECT_EQ(read_image(options_.output).width, 10 * (kSize + 2) + 2);
}

TEST_F(NoiseStrip, TheCallsOfARunAreThoseOfItsSampler) {
  options_.names = {"ddim"};
  options_.num_inference_steps = 4;
  options_.json = true;
  const Json json = Json::parse(draw_noise_strip(options_));
  EXPECT_EQ(json["rows"][0]["timesteps"], Json({750.0, 500.0, 250.0, 0.0}));
  const Tensor xt = NoiseSchedule().add_noise(picture(), noise(), at::tensor({int64_t{500}}));
  EXPECT_EQ(panel(0, 1), to_images(xt)[0]);
}

TEST_F(NoiseStrip, TheSecondRowIsWhatTheNetworkSees) {
  Rng init(0);
  const Json config{{"block_out_channels", {4, 8}},
                    {"layers_per_block", 1},
                    {"norm_num_groups", 4},
                    {"sample_size", kSize},
                    {"down_block_types", {"DownBlock2D", "AttnDownBlock2D"}},
                    {"up_block_types", {"AttnUpBlock2D", "UpBlock2D"}}};
  const Unconditional pipe{std::make_shared<UNet2D>(unet2d_options(config), &init),
                           make_scheduler("ddpm", Json{{"prediction_type", "v_prediction"}})};
  pipe.save(dir_ / "model");
  options_.model = (dir_ / "model").string();
  options_.predict = true;
  options_.resolution.reset();  // the model's
  options_.timesteps = {50, 700};
  EXPECT_THAT(draw_noise_strip(options_), HasSubstr("row 2: the x0 that the network sees in it"));

  const c10::NoGradGuard no_grad;
  const NoiseSchedule& schedule = pipe.scheduler->noise();
  for (int64_t i = 0; i < 2; ++i) {
    const Tensor t = at::tensor({options_.timesteps[static_cast<size_t>(i)]});
    const Tensor xt = schedule.add_noise(picture(), noise(), t);
    EXPECT_EQ(panel(0, i), to_images(xt)[0]);
    EXPECT_EQ(panel(1, i), to_images(schedule.x0_from(PredictionType::v_prediction, xt, (*pipe.unet)(xt, t), t))[0]);
  }

  options_.resolution = 9;
  EXPECT_THAT(failure(options_), HasSubstr("--resolution: this network needs a multiple of 2, found 9"));
  options_.resolution = 8;
  options_.class_label = 1;
  EXPECT_THAT(failure(options_), HasSubstr("trained without classes"));
  options_.class_label.reset();
  options_.names = {"linear"};
  EXPECT_THAT(failure(options_), HasSubstr("--predict: a network knows only the noise"));
}

TEST_F(NoiseStrip, MistakesAreExplainedAndLeaveAnEarlierStripAlone) {
  dir_.write("out/strip.png", "mine");
  const auto with = [&](auto change) {
    NoiseStripOptions o = options_;
    change(o);
    return failure(o);
  };
  EXPECT_THAT(with([](auto& o) { o.image = ""; }), HasSubstr("--image: nothing was given"));
  EXPECT_THAT(with([](auto& o) { o.image = "none.png"; }), HasSubstr("none.png"));
  EXPECT_THAT(with([](auto& o) { o.names = {"cosine"}; }), HasSubstr("\"cosine\" is no schedule"));
  EXPECT_THAT(with([](auto& o) {
                o.timesteps = {1, 1000};
              }),
              HasSubstr("--timesteps: linear: expected 0 to 999, found 1000"));
  EXPECT_THAT(with([](auto& o) { o.timesteps = {-1}; }), HasSubstr("found -1"));
  EXPECT_THAT(with([](auto& o) { o.timesteps.resize(101); }), HasSubstr("at most 100"));
  EXPECT_THAT(with([](auto& o) { o.resolution = 0; }), HasSubstr("--resolution: expected 1 to"));
  EXPECT_THAT(with([](auto& o) { o.seed = -1; }), HasSubstr("--seed"));
  EXPECT_THAT(with([](auto& o) { o.predict = true; }), HasSubstr("--predict: needs the network of a --model"));
  EXPECT_THAT(with([](auto& o) { o.timesteps = {1}, o.num_inference_steps = 5; }), HasSubstr("give one of them"));
  dir_.cut_picture("cut.png");
  EXPECT_THAT(with([&](auto& o) { o.image = (dir_ / "cut.png").string(); }), HasSubstr("cut.png"));
  EXPECT_THAT(with([&](auto& o) { o.output = dir_.path().string(); }), HasSubstr("is a folder"));
  EXPECT_EQ(read_file(dir_ / "out/strip.png"), "mine");
}

TEST(NoiseStripOfARealPicture, IsCutFromTheMiddleInItsOwnColours) {
  const TemporaryFolder dir;
  NoiseStripOptions o;
  o.output = (dir / "strip.png").string();
  o.timesteps = {0, 500};
  for (const auto& [file, mode] : {std::pair{"cat.jpg", "RGB"}, std::pair{"gravel.png", "L"}}) {
    o.image = std::string(UNNOISE_TEST_DATA) + "/" + file;
    draw_noise_strip(o);
    const DecodedImage strip = read_image(o.output);
    EXPECT_EQ(strip.mode, mode);
    EXPECT_EQ(strip.height, 128 + 4);
  }
}

}  // namespace
}  // namespace unnoise
