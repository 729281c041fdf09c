#include <fmt/format.h>
#include <fmt/ranges.h>

#include "unnoise/core/error.h"
#include "unnoise/models/unet2d.h"

namespace unnoise {
namespace {

/// Course unit 1, notebook 1: butterflies at 32 px.
UNet2DOptions butterflies() {
  UNet2DOptions o;
  o.sample_size = SampleSize{32, 32};
  o.block_out_channels = {64, 128, 128, 256};
  o.down_block_types = {DownBlockType::down, DownBlockType::down, DownBlockType::attn_down, DownBlockType::attn_down};
  o.up_block_types = {UpBlockType::attn_up, UpBlockType::attn_up, UpBlockType::up, UpBlockType::up};
  return o;
}

/// Course unit 1, notebook 2: digits at 28 px.
UNet2DOptions mnist() {
  UNet2DOptions o;
  o.sample_size = SampleSize{28, 28};
  o.in_channels = o.out_channels = 1;
  o.block_out_channels = {32, 64, 64};
  o.down_block_types = {DownBlockType::down, DownBlockType::attn_down, DownBlockType::attn_down};
  o.up_block_types = {UpBlockType::attn_up, UpBlockType::attn_up, UpBlockType::up};
  return o;
}

/// google/ddpm-cifar10-32, the network of Ho et al. 2020, appendix B.
UNet2DOptions cifar10() {
  UNet2DOptions o;
  o.sample_size = SampleSize{32, 32};
  o.block_out_channels = {128, 256, 256, 256};
  o.down_block_types = {DownBlockType::down, DownBlockType::attn_down, DownBlockType::down, DownBlockType::down};
  o.up_block_types = {UpBlockType::up, UpBlockType::up, UpBlockType::attn_up, UpBlockType::up};
  o.attention_head_dim = std::nullopt;
  o.downsample_padding = 0;
  o.flip_sin_to_cos = false;
  o.freq_shift = 1;
  o.norm_eps = 1e-6;
  return o;
}

/// The default network of diffusers' train_unconditional.py, at 64 px.
UNet2DOptions script() {
  UNet2DOptions o;
  o.sample_size = SampleSize{64, 64};
  o.block_out_channels = {128, 128, 256, 256, 512, 512};
  o.down_block_types = {DownBlockType::down, DownBlockType::down,      DownBlockType::down,
                        DownBlockType::down, DownBlockType::attn_down, DownBlockType::down};
  o.up_block_types = {UpBlockType::up, UpBlockType::attn_up, UpBlockType::up,
                      UpBlockType::up, UpBlockType::up,      UpBlockType::up};
  return o;
}

struct Preset {
  std::string_view name;
  UNet2DOptions (*make)();
};

constexpr Preset kPresets[] = {
    {"butterflies", butterflies}, {"mnist", mnist}, {"cifar10", cifar10}, {"script", script}};

}  // namespace

std::vector<std::string> unet2d_preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

UNet2DOptions unet2d_preset(std::string_view name, std::optional<int64_t> resolution, std::optional<int64_t> channels) {
  for (const Preset& preset : kPresets) {
    if (preset.name != name) continue;
    UNet2DOptions options = preset.make();
    if (resolution) options.sample_size = SampleSize{*resolution, *resolution};
    if (channels) options.in_channels = options.out_channels = *channels;
    return options;
  }
  const std::string near = nearest_name(name, unet2d_preset_names());
  throw usage_error(
      fmt::format("network preset: \"{}\" is not one of {}", name, fmt::join(unet2d_preset_names(), ", ")),
      near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near));
}

}  // namespace unnoise
