// The UNet's blocks against the numbers in diffusers' own block tests: 32 channels, time embedding of 128, seed 0.
#include "unnoise/models/unet2d_blocks.h"

#include <gtest/gtest.h>

#include "tests/nn/slices.h"

namespace unnoise {
namespace {

const BlockOptions kOptions = {.in_channels = 32,
                               .out_channels = 32,
                               .skip_channels = 32,
                               .temb_channels = 128,
                               .groups = 32,
                               .attention_groups = 32,
                               .head_dim = 1,
                               .eps = 1e-6};

TEST(UNetBlocks, DownBlocksAreDiffusers) {
  const std::pair<DownBlockType, std::array<double, 9>> cases[] = {
      {DownBlockType::down, {-.0232, -.9869, .8054, -.0637, -.1688, -1.4264, .4470, -1.3394, .0904}},
      {DownBlockType::resnet_downsample, {.0710, .2410, -.7320, -1.0757, -1.1343, .3540, -.0133, -.2576, .0948}},
      {DownBlockType::attn_down, {.0636, .8964, -.6234, -1.0131, .0844, .4935, .3437, .0911, -.2957}},
      {DownBlockType::skip_down, {-.0845, -.2087, -.2465, .0971, .1900, -.0484, .2664, .4179, .5069}},
      {DownBlockType::attn_skip_down, {.5539, .1609, .4924, .0537, -.1995, .4050, .0979, -.2721, -.0642}},
  };
  for (const auto& [type, corner] : cases) {
    SCOPED_TRACE(enum_name(type));
    Rng rng(0);
    const Tensor x = rng.normal({4, 32, 32, 32}), temb = rng.normal({4, 128});
    Tensor picture;
    if (type == DownBlockType::skip_down || type == DownBlockType::attn_skip_down) picture = rng.normal({4, 3, 32, 32});
    std::vector<Tensor> kept;
    const auto block = make_down_block(type, kOptions, &rng);
    expect_corner((*block)(x, temb, kept, picture), corner);
    EXPECT_EQ(kept.size(), 2u);  // the layer's and the halved one
  }
}

TEST(UNetBlocks, TheMiddleIsDiffusers) {
  Rng rng(0);
  const Tensor x = rng.normal({4, 32, 32, 32}), temb = rng.normal({4, 128});
  BlockOptions options = kOptions;
  options.attention = true;
  const UNetMidBlock2D block(options, &rng);
  expect_corner(block(x, temb), {-.1062, 1.7248, .3494, 1.4569, -.0910, -1.2421, -.9984, .6736, 1.0028});
}

TEST(UNetBlocks, UpBlocksAreDiffusers) {
  const std::pair<UpBlockType, std::array<double, 9>> cases[] = {
      {UpBlockType::up, {-.2041, -.4165, -.3022, .0041, -.6628, -.7053, .1928, -.0325, .0523}},
      {UpBlockType::resnet_upsample, {.2287, .3549, -.1346, .4797, -.1715, -.9649, .7305, -.5864, -.6244}},
      {UpBlockType::attn_up, {.0979, .1326, .0021, .0659, .2249, .0059, .1132, .5952, .1033}},
      {UpBlockType::skip_up, {-.0893, -.1234, -.1506, -.0332, .0123, -.0211, .0566, .0143, .0362}},
      {UpBlockType::attn_skip_up, {.0361, .0617, .2787, -.0350, .0342, .3421, -.0843, .0913, .3015}},
  };
  for (const auto& [type, corner] : cases) {
    SCOPED_TRACE(enum_name(type));
    Rng rng(0);
    const Tensor x = rng.normal({4, 32, 32, 32}), temb = rng.normal({4, 128});
    rng = Rng(1);  // diffusers' test seeds the stream again before it draws the kept features
    std::vector<Tensor> kept{rng.normal({4, 32, 32, 32})};
    Tensor picture;
    const auto block = make_up_block(type, kOptions, &rng);
    expect_corner((*block)(x, temb, kept, picture), corner);
    EXPECT_TRUE(kept.empty());
  }
}

}  // namespace
}  // namespace unnoise
