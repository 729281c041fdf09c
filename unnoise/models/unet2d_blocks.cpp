#include "unnoise/models/unet2d_blocks.h"

#include <c10/core/GradMode.h>

#include "unnoise/models/unet2d_layers.h"
#include "unnoise/models/unet2d_skip_blocks.h"
#include "unnoise/nn/checkpoint.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

/// DownBlock2D, AttnDownBlock2D, ResnetDownsampleBlock2D.
class PlainDownBlock final : public DownBlock {
 public:
  PlainDownBlock(std::string name, const BlockOptions& o, Rng* init) : DownBlock(std::move(name)) {
    for (int64_t i = 0; i < o.num_layers; ++i) {
      const auto& resnet = resnets_.emplace_back(resnet_options(o, layer_input(o, i)), init);
      add_layer(resnet, o.attention ? &attentions_.emplace_back(attention_options(o), init) : nullptr);
    }
    if (o.attention) add_child("attentions", attentions_);
    add_child("resnets", resnets_);
    if (!o.resamples) return;
    if (o.resample_type == ResampleType::conv) {
      convs_.emplace_back(Downsample2D::Options{o.out_channels, o.out_channels, o.downsample_padding}, init);
      add_child("downsamplers", convs_);
    } else {
      resampling_resnets_.emplace_back(resampling_resnet(o, Resampling::down), init);
      add_child("downsamplers", resampling_resnets_);
    }
  }

  Tensor operator()(const Tensor& x, const TimeInput& time, std::vector<Tensor>& kept,
                    Tensor& /*picture*/) const override {
    Tensor h = x;
    for (size_t i = 0; i < num_layers(); ++i) kept.push_back(h = run_layer(i, h, {}, time));
    if (!convs_.empty()) kept.push_back(h = convs_[0](h));
    if (!resampling_resnets_.empty()) kept.push_back(h = resampling_resnets_[0](h, time));
    Trace::note(*this, h);
    return h;
  }

 private:
  ModuleList<ResnetBlock2D> resnets_;
  ModuleList<Attention> attentions_;
  ModuleList<Downsample2D> convs_;
  ModuleList<ResnetBlock2D> resampling_resnets_;
};

/// UpBlock2D, AttnUpBlock2D, ResnetUpsampleBlock2D.
class PlainUpBlock final : public UpBlock {
 public:
  PlainUpBlock(std::string name, const BlockOptions& o, Rng* init) : UpBlock(std::move(name)) {
    for (int64_t i = 0; i < o.num_layers; ++i) {
      const auto& resnet = resnets_.emplace_back(resnet_options(o, layer_input(o, i) + layer_kept(o, i)), init);
      add_layer(resnet, o.attention ? &attentions_.emplace_back(attention_options(o), init) : nullptr);
    }
    if (o.attention) add_child("attentions", attentions_);
    add_child("resnets", resnets_);
    if (!o.resamples) return;
    if (o.resample_type == ResampleType::conv) {
      convs_.emplace_back(o.out_channels, o.out_channels, init);
      add_child("upsamplers", convs_);
    } else {
      resampling_resnets_.emplace_back(resampling_resnet(o, Resampling::up), init);
      add_child("upsamplers", resampling_resnets_);
    }
  }

  Tensor operator()(const Tensor& x, const TimeInput& time, std::vector<Tensor>& kept,
                    Tensor& /*picture*/) const override {
    Tensor h = x;
    for (size_t i = 0; i < num_layers(); ++i) h = run_layer(i, h, take_last(kept), time);
    if (!convs_.empty()) h = convs_[0](h);
    if (!resampling_resnets_.empty()) h = resampling_resnets_[0](h, time);
    Trace::note(*this, h);
    return h;
  }

 private:
  ModuleList<ResnetBlock2D> resnets_;
  ModuleList<Attention> attentions_;
  ModuleList<Upsample2D> convs_;
  ModuleList<ResnetBlock2D> resampling_resnets_;
};

}  // namespace

void UNetBlock::add_layer(const ResnetBlock2D& resnet, const Attention* attention) {
  Layer layer{&resnet, attention, resnet.parameters()};
  if (attention)
    for (Tensor& weight : attention->parameters()) layer.weights.push_back(std::move(weight));
  layers_.push_back(std::move(layer));
}

Tensor UNetBlock::run_layer(size_t i, const Tensor& x, const Tensor& kept, const TimeInput& time) const {
  const Layer& layer = layers_[i];
  const auto forward = [&layer](const Remade& h, const TimeInput& at) {
    const Tensor y = (*layer.resnet)(h, at);
    return layer.attention ? (*layer.attention)(y) : y;
  };
  if (!checkpointing_ || !at::GradMode::is_enabled())
    return forward(kept.defined() ? Remade::joined(x, kept) : x, time);

  const Dropout& dropout = layer.resnet->dropout();
  Rng* rng = dropout.is_active() ? dropout.rng() : nullptr;
  if (!kept.defined())
    return checkpoint([forward](const auto& in) { return forward(in[0], in[1]); }, {x, time.temb}, layer.weights, rng);
  return checkpoint([forward](const auto& in) { return forward(Remade::joined(in[0], in[1]), in[2]); },
                    {x, kept, time.temb}, layer.weights, rng);
}

UNetMidBlock2D::UNetMidBlock2D(const BlockOptions& o, Rng* init) : UNetBlock("UNetMidBlock2D") {
  resnets_.emplace_back(resnet_options(o, o.in_channels), init);
  const Attention* attention = o.attention ? &attentions_.emplace_back(attention_options(o), init) : nullptr;
  resnets_.emplace_back(resnet_options(o, o.in_channels), init);
  add_layer(resnets_[0], attention);
  add_layer(resnets_[1], nullptr);
  if (attention) add_child("attentions", attentions_);
  add_child("resnets", resnets_);
}

Tensor UNetMidBlock2D::operator()(const Tensor& x, const TimeInput& time) const {
  Tensor h = run_layer(1, run_layer(0, x, {}, time), {}, time);
  Trace::note(*this, h);
  return h;
}

std::unique_ptr<DownBlock> make_down_block(DownBlockType type, const BlockOptions& options, Rng* init) {
  BlockOptions o = options;
  std::string name(enum_name(type));
  switch (type) {
    case DownBlockType::attn_down:
      o.attention = true;
      break;
    case DownBlockType::down:
      o.resample_type = ResampleType::conv;
      break;
    case DownBlockType::resnet_downsample:
      o.resample_type = ResampleType::resnet;
      break;
    case DownBlockType::skip_down:
    case DownBlockType::attn_skip_down:
      o.attention = type == DownBlockType::attn_skip_down;
      return make_skip_down_block(std::move(name), o, init);
  }
  return std::make_unique<PlainDownBlock>(std::move(name), o, init);
}

std::unique_ptr<UpBlock> make_up_block(UpBlockType type, const BlockOptions& options, Rng* init) {
  BlockOptions o = options;
  std::string name(enum_name(type));
  switch (type) {
    case UpBlockType::attn_up:
      o.attention = true;
      break;
    case UpBlockType::up:
      o.resample_type = ResampleType::conv;
      break;
    case UpBlockType::resnet_upsample:
      o.resample_type = ResampleType::resnet;
      break;
    case UpBlockType::skip_up:
    case UpBlockType::attn_skip_up:
      o.attention = type == UpBlockType::attn_skip_up;
      return make_skip_up_block(std::move(name), o, init);
  }
  return std::make_unique<PlainUpBlock>(std::move(name), o, init);
}

}  // namespace unnoise
