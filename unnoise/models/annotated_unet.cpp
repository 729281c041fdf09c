#include "unnoise/models/annotated_unet.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/pixel_unshuffle.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "unnoise/core/error.h"
#include "unnoise/models/annotated_blocks.h"
#include "unnoise/nn/resample.h"
#include "unnoise/nn/time_embedding.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

using AttentionKind = ResidualAttention::Kind;

/// The timestep as waves, Linear, GELU, Linear. [B] -> [B,4*dim].
class AnnotatedTime final : public Module {
 public:
  AnnotatedTime(int64_t dim, Rng* init)
      : dim_(dim), linear1_({dim, 4 * dim}, init), linear2_({4 * dim, 4 * dim}, init) {
    add_child("1", linear1_);
    add_child("3", linear2_);
  }
  Tensor operator()(const Tensor& timesteps) const {
    return linear2_(at::gelu(linear1_(timestep_embedding(timesteps, {.dim = dim_}))));
  }
  std::string describe() const override { return "AnnotatedTime"; }

 private:
  int64_t dim_;
  Linear linear1_, linear2_;
};

// Convolutions by their kernel size; all but the last keep the size of the map.
Conv2dOptions conv1x1(int64_t in, int64_t out) { return {.in_channels = in, .out_channels = out, .kernel_size = 1}; }
Conv2dOptions conv3x3(int64_t in, int64_t out) { return {.in_channels = in, .out_channels = out, .padding = 1}; }
Conv2dOptions conv7x7(int64_t in, int64_t out) {
  return {.in_channels = in, .out_channels = out, .kernel_size = 7, .padding = 3};
}
Conv2dOptions halving4x4(int64_t channels) {
  return {.in_channels = channels, .out_channels = channels, .kernel_size = 4, .stride = 2, .padding = 1};
}

/// dim times each multiple.
std::vector<int64_t> level_channels(const AnnotatedUNetOptions& o) {
  std::vector<int64_t> channels;
  for (const int64_t mult : o.dim_mults) channels.push_back(o.dim * mult);
  return channels;
}

/// A level of the network with residual blocks, on the way down or up: "0", "1" the blocks, "2" the attention and "3"
/// what changes the channels, and the size but at the end of a way.
struct ResnetLevel final : Module {
  enum class Way { down, up };
  ResnetLevel(Way way, int64_t in, int64_t out, bool last, const AnnotatedUNetOptions& o, Rng* init)
      : resizes(!last),
        block1(block_options(way, in, out, o), init),
        block2(block_options(way, in, out, o), init),
        attention(way == Way::down ? in : out, AttentionKind::linear, PreNorm::group, init),
        resize(resize_options(way, in, out, last), init) {
    add_child("0", block1);
    add_child("1", block2);
    add_child("2", attention);
    add_child(last ? "3" : "3.1", resize);
  }
  std::string describe() const override { return "ResnetLevel"; }

  const bool resizes;
  StandardizedResnetBlock block1, block2;
  ResidualAttention attention;
  Conv2d resize;

 private:
  /// On the way up a block sees what a block on the way down left, too.
  static StandardizedResnetBlock::Options block_options(Way way, int64_t in, int64_t out,
                                                        const AnnotatedUNetOptions& o) {
    const bool down = way == Way::down;
    return {down ? in : in + out, down ? in : out, 4 * o.dim, o.groups};
  }
  /// Down: 2x2 pixels to the channels of one, then 1x1. Up: nearest neighbour, then 3x3.
  static Conv2dOptions resize_options(Way way, int64_t in, int64_t out, bool last) {
    if (way == Way::up) return conv3x3(out, in);
    return last ? conv3x3(in, out) : conv1x1(4 * in, out);
  }
};

class AnnotatedResnetUNet final : public AnnotatedUNet {
 public:
  AnnotatedResnetUNet(const AnnotatedUNetOptions& o, Rng* init)
      : AnnotatedUNet(o), init_conv_(conv1x1(input_channels(), o.dim), init), time_(o.dim, init) {
    std::vector<int64_t> dims = level_channels(o);
    dims.insert(dims.begin(), o.dim);
    const size_t levels = o.dim_mults.size();
    using Way = ResnetLevel::Way;
    for (size_t i = 0; i < levels; ++i) downs_.emplace_back(Way::down, dims[i], dims[i + 1], i + 1 == levels, o, init);
    const StandardizedResnetBlock::Options middle{dims.back(), dims.back(), 4 * o.dim, o.groups};
    mid_block1_.emplace(middle, init);
    mid_attention_.emplace(dims.back(), AttentionKind::full, PreNorm::group, init);
    mid_block2_.emplace(middle, init);
    for (size_t i = levels; i-- > 0;) ups_.emplace_back(Way::up, dims[i], dims[i + 1], i == 0, o, init);
    final_block_.emplace(StandardizedResnetBlock::Options{2 * o.dim, o.dim, 4 * o.dim, o.groups}, init);
    final_conv_.emplace(conv1x1(o.dim, o.channels), init);

    add_child("init_conv", init_conv_);
    add_child("time_mlp", time_);
    add_child("downs", downs_);
    add_child("ups", ups_);
    add_child("mid_block1", *mid_block1_);
    add_child("mid_attn", *mid_attention_);
    add_child("mid_block2", *mid_block2_);
    add_child("final_res_block", *final_block_);
    add_child("final_conv", *final_conv_);
  }

 private:
  Tensor forward(const Tensor& x, const Tensor& timesteps) const override {
    const Tensor temb = time_(timesteps);
    const Tensor first = init_conv_(x);
    Tensor h = first;
    std::vector<Tensor> kept;
    for (const auto& level : downs_) {
      kept.push_back(h = level->block1(h, temb));
      kept.push_back(h = level->attention(level->block2(h, temb)));
      h = level->resize(level->resizes ? at::pixel_unshuffle(h, 2) : h);
    }
    h = (*mid_block2_)((*mid_attention_)((*mid_block1_)(h, temb)), temb);
    const auto with_kept = [&] {
      const Tensor both = at::cat({h, kept.back()}, 1);
      kept.pop_back();
      return both;
    };
    for (const auto& level : ups_) {
      h = level->block1(with_kept(), temb);
      h = level->attention(level->block2(with_kept(), temb));
      h = level->resize(level->resizes ? resample(h, Resampling::up) : h);
    }
    return (*final_conv_)((*final_block_)(at::cat({h, first}, 1), temb));
  }

  Conv2d init_conv_;
  AnnotatedTime time_;
  ModuleList<ResnetLevel> downs_, ups_;
  std::optional<StandardizedResnetBlock> mid_block1_, mid_block2_;
  std::optional<ResidualAttention> mid_attention_;
  std::optional<StandardizedResnetBlock> final_block_;
  std::optional<Conv2d> final_conv_;
};

/// What the older network does at each level, down and up.
struct ConvNextLevel : Module {
  ConvNextLevel(int64_t in, int64_t out, int64_t temb_channels, Rng* init)
      : block1({in, out, temb_channels}, init),
        block2({out, out, temb_channels}, init),
        attention(out, AttentionKind::linear, PreNorm::channel, init) {
    add_child("0", block1);
    add_child("1", block2);
    add_child("2", attention);
  }

  ConvNextBlock block1, block2;
  ResidualAttention attention;
};

/// On the way down; the coarsest is not halved.
struct ConvNextDownLevel final : ConvNextLevel {
  ConvNextDownLevel(int64_t in, int64_t out, bool last, int64_t temb_channels, Rng* init)
      : ConvNextLevel(in, out, temb_channels, init) {
    if (!last) add_child("3", halve.emplace(halving4x4(out), init));
  }
  std::string describe() const override { return "ConvNextDownLevel"; }

  std::optional<Conv2d> halve;
};

/// And on the way up: sees what its level on the way down left, once.
struct ConvNextUpLevel final : ConvNextLevel {
  ConvNextUpLevel(int64_t in, int64_t out, int64_t temb_channels, Rng* init)
      : ConvNextLevel(2 * out, in, temb_channels, init), twice(in, init) {
    add_child("3", twice);
  }
  std::string describe() const override { return "ConvNextUpLevel"; }

  UpsampleTransposed twice;
};

class AnnotatedConvNextUNet final : public AnnotatedUNet {
 public:
  AnnotatedConvNextUNet(const AnnotatedUNetOptions& o, Rng* init)
      : AnnotatedUNet(o), init_conv_(conv7x7(input_channels(), first_channels(o)), init), time_(o.dim, init) {
    std::vector<int64_t> dims = level_channels(o);
    dims.insert(dims.begin(), first_channels(o));
    const size_t levels = o.dim_mults.size();
    const int64_t temb_channels = 4 * o.dim;
    for (size_t i = 0; i < levels; ++i) downs_.emplace_back(dims[i], dims[i + 1], i + 1 == levels, temb_channels, init);
    mid_block1_.emplace(ConvNextBlock::Options{dims.back(), dims.back(), temb_channels}, init);
    mid_attention_.emplace(dims.back(), AttentionKind::full, PreNorm::channel, init);
    mid_block2_.emplace(ConvNextBlock::Options{dims.back(), dims.back(), temb_channels}, init);
    for (size_t i = levels; i-- > 1;) ups_.emplace_back(dims[i], dims[i + 1], temb_channels, init);
    final_block_.emplace(ConvNextBlock::Options{dims[1], dims[1]}, init);
    final_conv_.emplace(conv1x1(dims[1], o.channels), init);

    add_child("init_conv", init_conv_);
    add_child("time_mlp", time_);
    add_child("downs", downs_);
    add_child("ups", ups_);
    add_child("mid_block1", *mid_block1_);
    add_child("mid_attn", *mid_attention_);
    add_child("mid_block2", *mid_block2_);
    add_child("final_conv.0", *final_block_);
    add_child("final_conv.1", *final_conv_);
  }

 private:
  static int64_t first_channels(const AnnotatedUNetOptions& o) { return o.dim / 3 * 2; }

  Tensor forward(const Tensor& x, const Tensor& timesteps) const override {
    const Tensor temb = time_(timesteps);
    Tensor h = init_conv_(x);
    std::vector<Tensor> kept;
    for (const auto& level : downs_) {
      h = level->attention(level->block2(level->block1(h, temb), temb));
      kept.push_back(h);
      if (level->halve) h = (*level->halve)(h);
    }
    h = (*mid_block2_)((*mid_attention_)((*mid_block1_)(h, temb)), temb);
    for (const auto& level : ups_) {  // the finest level's map is kept for nobody
      h = level->block1(at::cat({h, kept.back()}, 1), temb);
      kept.pop_back();
      h = level->twice(level->attention(level->block2(h, temb)));
    }
    return (*final_conv_)((*final_block_)(h, {}));
  }

  Conv2d init_conv_;
  AnnotatedTime time_;
  ModuleList<ConvNextDownLevel> downs_;
  ModuleList<ConvNextUpLevel> ups_;
  std::optional<ConvNextBlock> mid_block1_, mid_block2_;
  std::optional<ResidualAttention> mid_attention_;
  std::optional<ConvNextBlock> final_block_;
  std::optional<Conv2d> final_conv_;
};

}  // namespace

Tensor AnnotatedUNet::operator()(const Tensor& x, const Tensor& timesteps, const Tensor& x_self_cond) const {
  const int64_t multiple = int64_t{1} << (options_.dim_mults.size() - 1);
  if (x.dim() != 4 || x.size(1) != options_.channels || x.size(2) < multiple || x.size(3) < multiple ||
      x.size(2) % multiple != 0 || x.size(3) % multiple != 0)
    throw usage_error(fmt::format("AnnotatedUNet: expected [batch,{},height,width], found [{}]", options_.channels,
                                  fmt::join(x.sizes(), ",")),
                      fmt::format("Use sizes that are multiples of {}.", multiple));
  if (!timesteps.defined() || timesteps.dim() != 1 || timesteps.size(0) != x.size(0))
    throw usage_error(fmt::format("AnnotatedUNet: expected {} timesteps, one a picture", x.size(0)));
  if (x_self_cond.defined() && (!options_.self_condition || x_self_cond.sizes() != x.sizes()))
    throw usage_error(options_.self_condition
                          ? "AnnotatedUNet: x_self_cond has not the shape of x"
                          : "AnnotatedUNet: x_self_cond given, but the network is not self-conditioned");
  Tensor input = x;
  if (options_.self_condition) input = at::cat({x_self_cond.defined() ? x_self_cond : at::zeros_like(x), x}, 1);
  Tensor y = forward(input, timesteps).contiguous();
  Trace::note(*this, y);
  return y;
}

std::unique_ptr<AnnotatedUNet> make_annotated_unet(const AnnotatedUNetOptions& o, Rng* init) {
  if (o.dim < 4 || o.dim % 2 != 0 || o.dim_mults.empty() || o.dim_mults.size() > 8 || o.dim_mults.front() != 1)
    throw usage_error("AnnotatedUNet: expected an even dim of at least 4 and 1 to 8 dim_mults that begin with 1");
  if (o.block == AnnotatedBlock::convnext) return std::make_unique<AnnotatedConvNextUNet>(o, init);
  return std::make_unique<AnnotatedResnetUNet>(o, init);
}

}  // namespace unnoise
