#include "unnoise/models/unet2d_skip_blocks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/silu.h>

#include <numbers>

#include "unnoise/models/unet2d_layers.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

constexpr int64_t kPictureChannels = 3;

BlockOptions skip_block_options(BlockOptions o) {
  o.groups = std::nullopt;
  o.attention_groups = 32;
  o.output_scale_factor = std::numbers::sqrt2;
  return o;
}

ResnetOptions fir_resnet(const BlockOptions& o, Resampling how) {
  ResnetOptions options = resampling_resnet(o, how);
  options.conv_shortcut = true;
  return options;
}

/// SkipDownBlock2D, AttnSkipDownBlock2D.
class SkipDownBlock final : public DownBlock {
 public:
  SkipDownBlock(std::string name, const BlockOptions& o, Rng* init) : DownBlock(std::move(name)) {
    for (int64_t i = 0; i < o.num_layers; ++i) {
      const auto& resnet = resnets_.emplace_back(resnet_options(o, layer_input(o, i)), init);
      add_layer(resnet, o.attention ? &attentions_.emplace_back(attention_options(o), init) : nullptr);
    }
    if (o.attention) add_child("attentions", attentions_);
    add_child("resnets", resnets_);
    if (!o.resamples) return;
    resnet_down_.emplace(fir_resnet(o, Resampling::down_fir), init);
    skip_conv_.emplace(Conv2dOptions{.in_channels = kPictureChannels, .out_channels = o.out_channels, .kernel_size = 1},
                       init);
    add_child("resnet_down", *resnet_down_);
    add_child("skip_conv", *skip_conv_);
  }

  Tensor operator()(const Tensor& x, const TimeInput& time, std::vector<Tensor>& kept, Tensor& picture) const override {
    Tensor h = x;
    for (size_t i = 0; i < num_layers(); ++i) kept.push_back(h = run_layer(i, h, {}, time));
    if (resnet_down_) {
      picture = resample(picture, Resampling::down_fir);
      kept.push_back(h = (*skip_conv_)(picture) + (*resnet_down_)(h, time));
    }
    Trace::note(*this, h);
    return h;
  }

 private:
  ModuleList<ResnetBlock2D> resnets_;
  ModuleList<Attention> attentions_;
  std::optional<ResnetBlock2D> resnet_down_;
  std::optional<Conv2d> skip_conv_;
};

/// SkipUpBlock2D, AttnSkipUpBlock2D. Attention comes once, after the last layer.
class SkipUpBlock final : public UpBlock {
 public:
  SkipUpBlock(std::string name, const BlockOptions& o, Rng* init) : UpBlock(std::move(name)) {
    for (int64_t i = 0; i < o.num_layers; ++i) resnets_.emplace_back(layer_options(o, i), init);
    if (o.attention) attentions_.emplace_back(attention_options(o), init);
    for (size_t i = 0; i < resnets_.size(); ++i)
      add_layer(resnets_[i], o.attention && i + 1 == resnets_.size() ? &attentions_[0] : nullptr);
    if (o.attention) add_child("attentions", attentions_);
    add_child("resnets", resnets_);
    if (!o.resamples) return;
    resnet_up_.emplace(fir_resnet(o, Resampling::up_fir), init);
    skip_conv_.emplace(Conv2dOptions{.in_channels = o.out_channels, .out_channels = kPictureChannels, .padding = 1},
                       init);
    skip_norm_.emplace(GroupNormOptions{default_groups(o.out_channels), o.out_channels, o.eps});
    add_child("resnet_up", *resnet_up_);
    add_child("skip_conv", *skip_conv_);
    add_child("skip_norm", *skip_norm_);
  }

  Tensor operator()(const Tensor& x, const TimeInput& time, std::vector<Tensor>& kept, Tensor& picture) const override {
    Tensor h = x;
    for (size_t i = 0; i < num_layers(); ++i) h = run_layer(i, h, take_last(kept), time);
    if (picture.defined()) picture = resample(picture, Resampling::up_fir);
    if (resnet_up_) {
      const Tensor drawn = (*skip_conv_)(at::silu((*skip_norm_)(h)));  // [B,3,H,W]
      picture = picture.defined() ? picture + drawn : drawn;
      h = (*resnet_up_)(h, time);
    }
    Trace::note(*this, h);
    return h;
  }

 private:
  static ResnetOptions layer_options(const BlockOptions& o, int64_t i) {
    ResnetOptions options = resnet_options(o, layer_input(o, i) + layer_kept(o, i));
    // With attention diffusers divides only the second summand by 4; checkpoints depend on it.
    if (o.attention) options.groups = std::min<int64_t>(layer_input(o, i) + layer_kept(o, i) / 4, 32);
    return options;
  }

  ModuleList<ResnetBlock2D> resnets_;
  ModuleList<Attention> attentions_;
  std::optional<ResnetBlock2D> resnet_up_;
  std::optional<Conv2d> skip_conv_;
  std::optional<GroupNorm> skip_norm_;
};

}  // namespace

std::unique_ptr<DownBlock> make_skip_down_block(std::string name, const BlockOptions& o, Rng* init) {
  return std::make_unique<SkipDownBlock>(std::move(name), skip_block_options(o), init);
}

std::unique_ptr<UpBlock> make_skip_up_block(std::string name, const BlockOptions& o, Rng* init) {
  return std::make_unique<SkipUpBlock>(std::move(name), skip_block_options(o), init);
}

}  // namespace unnoise
