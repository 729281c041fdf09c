// What a UNet2DModel is made of: every key of its config.json, with diffusers' defaults.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/nn/activation.h"

namespace unnoise {

/// Pixels; 32 or [24,32] (height, width) in JSON, "32" or "24,32" on a command line.
struct SampleSize {
  int64_t height = 0;
  int64_t width = 0;
  bool operator==(const SampleSize&) const = default;
};

template <>
struct fields_detail::Value<SampleSize> {
  static std::string kind() { return "INT or HEIGHT,WIDTH"; }
  static Json to_json(const SampleSize& v);
  static SampleSize from_json(std::string_view name, const Json& j);
};

enum class TimeEmbeddingType { positional, fourier, learned };
constexpr auto enum_names(TimeEmbeddingType) {
  using Row = std::pair<TimeEmbeddingType, std::string_view>;
  return std::array{Row{TimeEmbeddingType::positional, "positional"}, Row{TimeEmbeddingType::fourier, "fourier"},
                    Row{TimeEmbeddingType::learned, "learned"}};
}

enum class ClassEmbedType { timestep, identity };
constexpr auto enum_names(ClassEmbedType) {
  using Row = std::pair<ClassEmbedType, std::string_view>;
  return std::array{Row{ClassEmbedType::timestep, "timestep"}, Row{ClassEmbedType::identity, "identity"}};
}

enum class ResnetTimeScaleShift { plain, scale_shift };
constexpr auto enum_names(ResnetTimeScaleShift) {
  using Row = std::pair<ResnetTimeScaleShift, std::string_view>;
  return std::array{Row{ResnetTimeScaleShift::plain, "default"}, Row{ResnetTimeScaleShift::scale_shift, "scale_shift"}};
}

enum class ResampleType { conv, resnet };
constexpr auto enum_names(ResampleType) {
  using Row = std::pair<ResampleType, std::string_view>;
  return std::array{Row{ResampleType::conv, "conv"}, Row{ResampleType::resnet, "resnet"}};
}

enum class DownBlockType { down, attn_down, resnet_downsample, skip_down, attn_skip_down };
constexpr auto enum_names(DownBlockType) {
  using enum DownBlockType;
  using Row = std::pair<DownBlockType, std::string_view>;
  return std::array{Row{down, "DownBlock2D"}, Row{attn_down, "AttnDownBlock2D"},
                    Row{resnet_downsample, "ResnetDownsampleBlock2D"}, Row{skip_down, "SkipDownBlock2D"},
                    Row{attn_skip_down, "AttnSkipDownBlock2D"}};
}

enum class MidBlockType { mid };
constexpr auto enum_names(MidBlockType) {
  return std::array{std::pair<MidBlockType, std::string_view>{MidBlockType::mid, "UNetMidBlock2D"}};
}

enum class UpBlockType { up, attn_up, resnet_upsample, skip_up, attn_skip_up };
constexpr auto enum_names(UpBlockType) {
  using enum UpBlockType;
  using Row = std::pair<UpBlockType, std::string_view>;
  return std::array{Row{up, "UpBlock2D"}, Row{attn_up, "AttnUpBlock2D"}, Row{resnet_upsample, "ResnetUpsampleBlock2D"},
                    Row{skip_up, "SkipUpBlock2D"}, Row{attn_skip_up, "AttnSkipUpBlock2D"}};
}

struct UNet2DOptions {
  std::optional<SampleSize> sample_size;
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  bool center_input_sample = false;
  TimeEmbeddingType time_embedding_type = TimeEmbeddingType::positional;
  std::optional<int64_t> time_embedding_dim;
  int64_t freq_shift = 0;
  bool flip_sin_to_cos = true;
  std::vector<DownBlockType> down_block_types = {DownBlockType::down, DownBlockType::attn_down,
                                                 DownBlockType::attn_down, DownBlockType::attn_down};
  std::optional<MidBlockType> mid_block_type = MidBlockType::mid;
  std::vector<UpBlockType> up_block_types = {UpBlockType::attn_up, UpBlockType::attn_up, UpBlockType::attn_up,
                                             UpBlockType::up};
  std::vector<int64_t> block_out_channels = {224, 448, 672, 896};
  int64_t layers_per_block = 2;
  double mid_block_scale_factor = 1;
  int64_t downsample_padding = 1;
  ResampleType downsample_type = ResampleType::conv;
  ResampleType upsample_type = ResampleType::conv;
  double dropout = 0;
  Activation act_fn = Activation::silu;
  std::optional<int64_t> attention_head_dim = 8;
  std::optional<int64_t> norm_num_groups = 32;
  std::optional<int64_t> attn_norm_num_groups;
  double norm_eps = 1e-5;
  ResnetTimeScaleShift resnet_time_scale_shift = ResnetTimeScaleShift::plain;
  bool add_attention = true;
  std::optional<ClassEmbedType> class_embed_type;
  std::optional<int64_t> num_class_embeds;
  std::optional<int64_t> num_train_timesteps;

  static constexpr auto fields() {
    using O = UNet2DOptions;
    return std::tuple{
        section("Pictures"),
        field("sample_size", &O::sample_size, "height and width in pixels that samples have unless asked otherwise"),
        field("in_channels", &O::in_channels, "channels of the noisy picture: 1 grey, 3 RGB"),
        field("out_channels", &O::out_channels, "channels of the prediction"),
        field("center_input_sample", &O::center_input_sample, "map the input from [0,1] to [-1,1] first"),
        section("Time"),
        field("time_embedding_type", &O::time_embedding_type, "how the timestep becomes a vector"),
        field("time_embedding_dim", &O::time_embedding_dim, "length of that vector (4 x the first block's channels)"),
        field("freq_shift", &O::freq_shift,
              "shift of the frequencies of the positional embedding (1 in the DDPM paper's code)"),
        field("flip_sin_to_cos", &O::flip_sin_to_cos, "cosines before sines"),
        field("num_train_timesteps", &O::num_train_timesteps, "rows of the learned time embedding"),
        section("Blocks"),
        field("down_block_types", &O::down_block_types, "one block a resolution, the finest first"),
        field("mid_block_type", &O::mid_block_type, "the block at the coarsest resolution, or null"),
        field("up_block_types", &O::up_block_types, "one block a resolution, the coarsest first"),
        field("block_out_channels", &O::block_out_channels, "channels at each resolution, the finest first"),
        field("layers_per_block", &O::layers_per_block, "residual blocks a down block (an up block has one more)"),
        field("mid_block_scale_factor", &O::mid_block_scale_factor, "the middle's sums are divided by it"),
        field("downsample_padding", &O::downsample_padding,
              "zeros around the picture when halving: 1, or 0 = right and bottom only"),
        field("downsample_type", &O::downsample_type, "how attention blocks halve the resolution"),
        field("upsample_type", &O::upsample_type, "how attention blocks double the resolution"),
        section("Layers"),
        field("dropout", &O::dropout, "share of activations dropped in training, from 0 to below 1"),
        field("act_fn", &O::act_fn, "activation of the residual blocks"),
        field("attention_head_dim", &O::attention_head_dim, "channels of an attention head; null = one head"),
        field("norm_num_groups", &O::norm_num_groups, "groups of the norms; must divide every block's channels"),
        field("attn_norm_num_groups", &O::attn_norm_num_groups,
              "groups of the middle attention's norm, where they differ"),
        field("norm_eps", &O::norm_eps, "added to the norms' variance"),
        field("resnet_time_scale_shift", &O::resnet_time_scale_shift,
              "how the time enters: a shift, or a scale and a shift"),
        field("add_attention", &O::add_attention, "attention in the middle block"),
        section("Classes"),
        field("class_embed_type", &O::class_embed_type,
              "null: learned (with num_class_embeds); timestep: as a timestep; identity: given as a vector"),
        field("num_class_embeds", &O::num_class_embeds, "how many classes there are; null = none"),
    };
  }

  /// Length of the time embedding.
  int64_t temb_channels() const {
    return time_embedding_dim.value_or(0) > 0 ? *time_embedding_dim : 4 * block_out_channels[0];
  }
  /// Height and width of an input must be multiples of it: the resolution is halved between the blocks.
  int64_t size_multiple() const { return int64_t{1} << (block_out_channels.size() - 1); }

  bool operator==(const UNet2DOptions&) const = default;
};

/// From a config.json; keys that it lacks have diffusers' defaults, keys that a UNet2DModel has not are ignored. The
/// options are checked: an Error::usage names the field, what was found and what would work.
UNet2DOptions unet2d_options(const Json& config);
/// As diffusers writes it, with _class_name and _diffusers_version.
Json unet2d_config(const UNet2DOptions& options);
/// Throws Error::usage where diffusers could not build the network, or could not run it.
void check_unet2d_options(const UNet2DOptions& options);

}  // namespace unnoise
