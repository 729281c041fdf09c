// The blocks of UNet2DModel: one a resolution on the way down, one in the middle, one a resolution on the way up.
//
// diffusers' ten block classes are two families here: plain blocks, with or without attention, that resample by a
// convolution or by a residual block; and skip blocks (Song et al. 2021, NCSN++), which also carry a small RGB picture
// beside the features.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "unnoise/models/unet2d_options.h"
#include "unnoise/nn/attention.h"
#include "unnoise/nn/resample.h"
#include "unnoise/nn/resnet.h"

namespace unnoise {

/// What the blocks of one network have in common with each other, and what they do not.
struct BlockOptions {
  int64_t in_channels = 0;  ///< of the features that come in (on the way up: of the first output of the level below)
  int64_t out_channels = 0;
  int64_t skip_channels = 0;  ///< up blocks: of the last kept feature map, which an earlier level put out
  int64_t temb_channels = 0;
  int64_t num_layers = 1;
  bool resamples = true;  ///< whether the block halves or doubles the resolution at its end
  bool attention = false;
  ResampleType resample_type = ResampleType::conv;
  int64_t downsample_padding = 1;
  std::optional<int64_t> groups;  ///< unset: a quarter of the channels, at most 32
  std::optional<int64_t> attention_groups;
  int64_t head_dim = 8;
  double eps = 1e-5;
  double dropout = 0;
  double output_scale_factor = 1;
  Activation activation = Activation::silu;
  TimeInjection time_injection = TimeInjection::add;
};

/// A sequence of residual blocks, each perhaps with attention after it: the unit of gradient checkpointing.
class UNetBlock : public Module {
 public:
  explicit UNetBlock(std::string name) : name_(std::move(name)) {}
  void set_gradient_checkpointing(bool on) { checkpointing_ = on; }
  std::string describe() const override { return name_; }

 protected:
  /// Adds layer i. `attention` may be null.
  void add_layer(const ResnetBlock2D& resnet, const Attention* attention);
  size_t num_layers() const { return layers_.size(); }
  /// Layer i of x (with `kept` beside it as more channels, where that is defined).
  Tensor run_layer(size_t i, const Tensor& x, const Tensor& kept, const TimeInput& time) const;

 private:
  struct Layer {
    const ResnetBlock2D* resnet;
    const Attention* attention;
    std::vector<Tensor> weights;
  };
  std::string name_;
  std::vector<Layer> layers_;
  bool checkpointing_ = false;
};

/// Features at one resolution, on the way down.
class DownBlock : public UNetBlock {
 public:
  using UNetBlock::UNetBlock;
  /// x [B,in,H,W] -> [B,out,H',W']. Appends what the up blocks will take to `kept`; `picture`
  /// [B,3,H,W] is the small picture of the skip blocks.
  virtual Tensor operator()(const Tensor& x, const TimeInput& time, std::vector<Tensor>& kept,
                            Tensor& picture) const = 0;
};

/// Features at one resolution, on the way up.
class UpBlock : public UNetBlock {
 public:
  using UNetBlock::UNetBlock;
  /// Takes as many feature maps from the end of `kept` as the block has layers; `picture` is undefined before the first
  /// skip block.
  virtual Tensor operator()(const Tensor& x, const TimeInput& time, std::vector<Tensor>& kept,
                            Tensor& picture) const = 0;
};

/// residual block, attention, residual block at the coarsest resolution.
class UNetMidBlock2D final : public UNetBlock {
 public:
  UNetMidBlock2D(const BlockOptions& options, Rng* init);
  Tensor operator()(const Tensor& x, const TimeInput& time) const;

 private:
  ModuleList<ResnetBlock2D> resnets_;
  ModuleList<Attention> attentions_;
};

std::unique_ptr<DownBlock> make_down_block(DownBlockType type, const BlockOptions& options, Rng* init);
std::unique_ptr<UpBlock> make_up_block(UpBlockType type, const BlockOptions& options, Rng* init);

}  // namespace unnoise
