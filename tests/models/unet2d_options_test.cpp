#include "unnoise/models/unet2d_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unnoise/core/error.h"
#include "unnoise/models/unet2d.h"

namespace unnoise {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Json small_config() {
  return Json::parse(R"({"block_out_channels": [32, 64], "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
                         "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 1})");
}

/// The error's text for the small network with some keys changed.
std::string refusal(const char* changes) {
  Json config = small_config();
  config.update(Json::parse(changes));
  try {
    UNet2D(unet2d_options(config), nullptr);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    return e.what();
  }
  return "nothing was thrown";
}

TEST(UNet2DOptions, DefaultsAreDiffusers) {
  const Json config = unet2d_config(UNet2DOptions{});
  EXPECT_EQ(config["block_out_channels"], Json::parse("[224, 448, 672, 896]"));
  EXPECT_EQ(config["down_block_types"][0], "DownBlock2D");
  EXPECT_EQ(config["sample_size"], nullptr);
  EXPECT_EQ(config["resnet_time_scale_shift"], "default");
  EXPECT_EQ(config["mid_block_scale_factor"].dump(), "1");
  EXPECT_EQ(config["_class_name"], "UNet2DModel");
  EXPECT_EQ(config.size(), 30u);  // diffusers 0.42.1's 28 and two of every model's
}

TEST(UNet2DOptions, SurviveJson) {
  for (const auto& name : unet2d_preset_names()) {
    const UNet2DOptions options = unet2d_preset(name);
    EXPECT_EQ(unet2d_options(unet2d_config(options)), options) << name;
  }
}

TEST(UNet2DOptions, SampleSizeIsNullOneNumberOrTwo) {
  Json config = small_config();
  EXPECT_EQ(unet2d_options(config).sample_size, std::nullopt);
  config["sample_size"] = 28;
  EXPECT_EQ(unet2d_options(config).sample_size, (SampleSize{28, 28}));
  EXPECT_EQ(unet2d_config(unet2d_options(config))["sample_size"], 28);
  config["sample_size"] = {24, 32};
  EXPECT_EQ(unet2d_options(config).sample_size, (SampleSize{24, 32}));
  EXPECT_EQ(unet2d_config(unet2d_options(config))["sample_size"], Json::parse("[24, 32]"));

  UNet2DOptions options;
  for (const auto& row : option_rows(options))
    if (row.name == "sample_size") row.set("24,32");
  EXPECT_EQ(options.sample_size, (SampleSize{24, 32}));
}

TEST(UNet2DOptions, OldSpellingsAreRead) {
  Json config = small_config();
  config["down_block_types"] = {"UNetResDownBlock2D", "UNetResAttnDownBlock2D"};
  config["act_fn"] = "SiLU";
  config["downsample_type"] = nullptr;
  config["some_key_of_another_version"] = 1;
  const UNet2DOptions options = unet2d_options(config);
  EXPECT_EQ(options.down_block_types, unet2d_options(small_config()).down_block_types);
  EXPECT_EQ(options.act_fn, Activation::silu);
}

TEST(UNet2DOptions, AMistakeIsNamedWithWhatWouldWork) {
  EXPECT_THAT(refusal(R"({"norm_num_groups": 24})"),
              AllOf(HasSubstr("norm_num_groups: 24 groups do not divide the 32 channels of block_out_channels[0]"),
                    HasSubstr("Use 16")));
  EXPECT_THAT(refusal(R"({"norm_num_groups": null})"), HasSubstr("norm_num_groups: null works only"));
  EXPECT_THAT(refusal(R"({"attn_norm_num_groups": 24})"),
              HasSubstr("attn_norm_num_groups: 24 groups do not divide the 64"));
  EXPECT_THAT(refusal(R"({"block_out_channels": [32]})"),
              HasSubstr("down_block_types: 2 blocks, but block_out_channels has 1"));
  EXPECT_THAT(refusal(R"({"block_out_channels": []})"), HasSubstr("block_out_channels: the list is empty"));
  EXPECT_THAT(refusal(R"({"down_block_types": ["DownBlock2D", "AtnDownBlock2D"]})"),
              AllOf(HasSubstr("down_block_types"), HasSubstr("Did you mean \"AttnDownBlock2D\"?")));
  EXPECT_THAT(refusal(R"({"act_fn": "silo"})"), AllOf(HasSubstr("act_fn"), HasSubstr("Did you mean \"silu\"?")));
  EXPECT_THAT(refusal(R"({"attention_head_dim": 128})"),
              HasSubstr("attention_head_dim: a head of 128 does not fit the 64"));
  EXPECT_THAT(refusal(R"({"time_embedding_type": "learned"})"), HasSubstr("num_train_timesteps: a learned"));
  EXPECT_THAT(refusal(R"({"class_embed_type": "projection"})"),
              HasSubstr("class_embed_type: \"projection\" is not one of"));
  EXPECT_THAT(refusal(R"({"resnet_time_scale_shift": "spatial"})"), HasSubstr("resnet_time_scale_shift"));
  EXPECT_THAT(refusal(R"({"dropout": 1.5})"), HasSubstr("dropout: expected 0 to below 1, found 1.5"));
  EXPECT_THAT(refusal(R"({"downsample_padding": 2})"), HasSubstr("downsample_padding: expected 0 or 1, found 2"));
  EXPECT_THAT(refusal(R"({"layers_per_block": "two"})"), HasSubstr("layers_per_block: expected a whole number"));
  EXPECT_THAT(refusal(R"({"block_out_channels": [32, 4000000000000]})"),
              HasSubstr("block_out_channels: expected 1 to"));
}

TEST(UNet2DOptions, SkipBlocksNeedCompany) {
  EXPECT_THAT(
      refusal(
          R"({"block_out_channels": [32, 32, 32], "down_block_types": ["DownBlock2D", "SkipDownBlock2D", "DownBlock2D"],
                          "up_block_types": ["UpBlock2D", "UpBlock2D", "UpBlock2D"]})"),
      HasSubstr("SkipDownBlock2D at position 1 needs skip blocks before it"));
  EXPECT_THAT(refusal(R"({"up_block_types": ["SkipUpBlock2D", "UpBlock2D"]})"),
              HasSubstr("UpBlock2D at position 1 follows a skip block"));
  EXPECT_THAT(refusal(R"({"down_block_types": ["SkipDownBlock2D", "DownBlock2D"], "in_channels": 1})"),
              HasSubstr("in_channels: the skip blocks of down_block_types need 3, found 1"));
  EXPECT_THAT(refusal(R"({"block_out_channels": [32, 48], "norm_num_groups": 16,
                          "down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"]})"),
              HasSubstr("down_block_types[1] (AttnSkipDownBlock2D): group norm: 32 groups do not divide 48 channels"));
}

}  // namespace
}  // namespace unnoise
