#include "unnoise/models/unet2d.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/silu.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "unnoise/core/error.h"
#include "unnoise/models/unet2d_layers.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/norm_conv.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

constexpr double kFourierScale = 16;

const UNet2DOptions& checked(const UNet2DOptions& options) {
  check_unet2d_options(options);
  return options;
}

/// Length of what the timestep is projected to.
int64_t projection_channels(const UNet2DOptions& o) {
  return o.block_out_channels[0] * (o.time_embedding_type == TimeEmbeddingType::fourier ? 2 : 1);
}

/// What all blocks share; in_channels and the like are each block's own.
BlockOptions common_block_options(const UNet2DOptions& o) {
  BlockOptions block;
  block.temb_channels = o.temb_channels();
  block.num_layers = o.layers_per_block;
  block.downsample_padding = o.downsample_padding;
  block.groups = o.norm_num_groups;
  block.attention_groups = o.norm_num_groups;
  block.eps = o.norm_eps;
  block.dropout = o.dropout;
  block.activation = o.act_fn;
  block.time_injection =
      o.resnet_time_scale_shift == ResnetTimeScaleShift::scale_shift ? TimeInjection::scale_shift : TimeInjection::add;
  return block;
}

BlockOptions mid_block_options(const UNet2DOptions& o) {
  BlockOptions block = common_block_options(o);
  const int64_t channels = o.block_out_channels.back();
  block.in_channels = block.out_channels = channels;
  block.head_dim = o.attention_head_dim.value_or(channels);
  block.attention = o.add_attention;
  block.output_scale_factor = o.mid_block_scale_factor;
  // Without a number of its own the attention is normalised only where the time is a plain shift.
  const int64_t groups = o.norm_num_groups.value_or(default_groups(channels));
  block.attention_groups = o.attn_norm_num_groups;
  if (!block.attention_groups && o.resnet_time_scale_shift == ResnetTimeScaleShift::plain)
    block.attention_groups = groups;
  return block;
}

int64_t output_groups(const UNet2DOptions& o) {
  return o.norm_num_groups.value_or(default_groups(o.block_out_channels[0]));
}

/// Runs `build`, saying in which block an error arose.
template <class Build>
void build_block(std::string_view list, size_t i, std::string_view type, Build build) {
  try {
    build();
  } catch (const Error& e) {
    throw usage_error(fmt::format("UNet2DModel: {}[{}] ({}): {}", list, i, type, e.message()), e.hint());
  }
}

}  // namespace

UNet2D::UNet2D(const UNet2DOptions& options, Rng* init)
    : options_(checked(options)),
      conv_in_({.in_channels = options.in_channels, .out_channels = options.block_out_channels[0], .padding = 1},
               init) {
  build_embeddings(init);
  build_blocks(init);
  const int64_t channels = options.block_out_channels[0];
  conv_norm_out_.emplace(GroupNormOptions{output_groups(options), channels, options.norm_eps});
  conv_out_.emplace(Conv2dOptions{.in_channels = channels, .out_channels = options.out_channels, .padding = 1}, init);

  add_child("conv_in", conv_in_);
  if (time_projection_) add_child("time_proj", *time_projection_);
  if (time_table_) add_child("time_proj", *time_table_);
  add_child("time_embedding", *time_embedding_);
  if (class_table_) add_child("class_embedding", *class_table_);
  if (class_timestep_) add_child("class_embedding", *class_timestep_);
  add_child("down_blocks", down_blocks_);
  add_child("up_blocks", up_blocks_);  // diffusers registers them before the middle, and builds them after it
  if (mid_block_) add_child("mid_block", *mid_block_);
  add_child("conv_norm_out", *conv_norm_out_);
  add_child("conv_out", *conv_out_);
}

void UNet2D::build_embeddings(Rng* init) {
  const auto& o = options_;
  const int64_t channels = o.block_out_channels[0], projected = projection_channels(o);
  if (o.time_embedding_type == TimeEmbeddingType::fourier) time_projection_.emplace(channels, kFourierScale, init);
  if (o.time_embedding_type == TimeEmbeddingType::learned) time_table_.emplace(*o.num_train_timesteps, channels, init);
  time_embedding_.emplace(projected, o.temb_channels(), init);
  if (!o.class_embed_type && o.num_class_embeds) class_table_.emplace(*o.num_class_embeds, o.temb_channels(), init);
  if (o.class_embed_type == ClassEmbedType::timestep) class_timestep_.emplace(projected, o.temb_channels(), init);
}

void UNet2D::build_blocks(Rng* init) {
  const auto& o = options_;
  const auto& channels = o.block_out_channels;
  const size_t n = channels.size();

  for (size_t i = 0; i < n; ++i) {
    BlockOptions block = common_block_options(o);
    block.in_channels = channels[i == 0 ? 0 : i - 1];
    block.out_channels = channels[i];
    block.resamples = i + 1 < n;
    block.resample_type = o.downsample_type;
    block.head_dim = o.attention_head_dim.value_or(channels[i]);
    build_block("down_block_types", i, enum_name(o.down_block_types[i]),
                [&] { down_blocks_.push_back(make_down_block(o.down_block_types[i], block, init)); });
  }

  if (o.mid_block_type) mid_block_.emplace(mid_block_options(o), init);

  for (size_t i = 0; i < n; ++i) {
    const size_t level = n - 1 - i;
    BlockOptions block = common_block_options(o);
    block.in_channels = channels[i == 0 ? level : level + 1];
    block.out_channels = channels[level];
    block.skip_channels = channels[level == 0 ? 0 : level - 1];
    block.num_layers = o.layers_per_block + 1;
    block.resamples = level > 0;
    block.resample_type = o.upsample_type;
    block.head_dim = o.attention_head_dim.value_or(channels[level]);
    build_block("up_block_types", i, enum_name(o.up_block_types[i]),
                [&] { up_blocks_.push_back(make_up_block(o.up_block_types[i], block, init)); });
  }
}

TimePlan UNet2D::plan(const Tensor& timesteps) const {
  if (has_class_embedding() || c10::GradMode::is_enabled() || !use_fast_kernels(conv_in_.weight())) return {};
  TimePlan plan(timesteps);
  const Tensor temb = embed(timesteps, {});
  visit([&](const std::string&, const Module& part) {
    if (const auto* block = dynamic_cast<const ResnetBlock2D*>(&part)) plan.add(part, block->project_time(temb));
  });
  return plan;
}

TimeInput UNet2D::time_of(const Tensor& x, const Tensor& timesteps, const Tensor& class_labels,
                          const Tensor& extra_embedding, const TimePlan& plan) const {
  if (const auto step = extra_embedding.defined() ? std::nullopt : plan.find(timesteps)) return {plan, *step};
  const Tensor temb = embed(timesteps.to(x.device()).reshape({-1}).expand({x.size(0)}), class_labels);
  return extra_embedding.defined() ? temb + extra_embedding.to(temb.options()) : temb;
}

Tensor UNet2D::operator()(const Tensor& x, const Tensor& timesteps, const Tensor& class_labels,
                          const Tensor& extra_embedding, const TimePlan& plan) const {
  check_input(x, timesteps, class_labels);
  const TimeInput time = time_of(x, timesteps, class_labels, extra_embedding, plan);

  Tensor picture = options_.center_input_sample ? 2 * x - 1 : x;  // what skip blocks carry along
  Tensor h = conv_in_(picture);
  std::vector<Tensor> kept{h};
  for (const auto& block : down_blocks_) h = (*block)(h, time, kept, picture);
  if (mid_block_) h = (*mid_block_)(h, time);
  picture = Tensor();
  for (const auto& block : up_blocks_) h = (*block)(h, time, kept, picture);
  h = norm_silu_conv(h, *conv_norm_out_, *conv_out_).contiguous();  // the kernels' layout is not for the outside

  if (picture.defined()) h = h + picture;
  if (options_.time_embedding_type == TimeEmbeddingType::fourier)
    h = h / timesteps.to(h.device(), h.scalar_type()).reshape({-1, 1, 1, 1});
  Trace::note(*this, h);
  return h;
}

/// [B] -> [B,projection_channels], in the weights' dtype.
Tensor UNet2D::project(const Tensor& timesteps, const char* what) const {
  const auto dtype = conv_in_.weight().scalar_type();
  if (time_projection_) return (*time_projection_)(timesteps).to(dtype);
  if (time_table_) return (*time_table_)(timesteps, what);
  return timestep_embedding(timesteps, {.dim = options_.block_out_channels[0],
                                        .flip_sin_to_cos = options_.flip_sin_to_cos,
                                        .freq_shift = static_cast<double>(options_.freq_shift)})
      .to(dtype);
}

Tensor UNet2D::embed(const Tensor& timesteps, const Tensor& class_labels) const {
  const Tensor temb = (*time_embedding_)(project(timesteps, "timesteps"));  // [B,temb_channels]
  if (!has_class_embedding()) return temb;
  const Tensor labels = class_labels.to(temb.device());
  if (class_table_) return temb + (*class_table_)(labels, "class_labels");
  if (class_timestep_) return temb + (*class_timestep_)(project(labels, "class_labels"));
  return temb + labels.to(temb.scalar_type());
}

void UNet2D::check_input(const Tensor& x, const Tensor& timesteps, const Tensor& class_labels) const {
  if (x.dim() != 4 || x.size(1) != options_.in_channels)
    throw usage_error(fmt::format("UNet2DModel: expected an input of [batch,{},height,width], found [{}]",
                                  options_.in_channels, fmt::join(x.sizes(), ",")));
  const int64_t batch = x.size(0), multiple = options_.size_multiple();
  if (batch < 1 || x.size(2) < multiple || x.size(3) < multiple || x.size(2) % multiple != 0 ||
      x.size(3) % multiple != 0)
    throw usage_error(
        fmt::format("UNet2DModel: a picture of {}x{} (height x width) does not fit the network, which halves it {} "
                    "times",
                    x.size(2), x.size(3), options_.block_out_channels.size() - 1),
        fmt::format("Use sizes that are multiples of {}.", multiple));
  const auto fits_batch = [batch](const Tensor& t) { return t.dim() == 1 && (t.size(0) == batch || t.size(0) == 1); };
  if (!timesteps.defined() || (timesteps.dim() != 0 && !fits_batch(timesteps)))
    throw usage_error(fmt::format("UNet2DModel: expected one timestep, or {} for the batch, found [{}]", batch,
                                  timesteps.defined() ? fmt::format("{}", fmt::join(timesteps.sizes(), ",")) : "none"));
  if (class_labels.defined() != has_class_embedding())
    throw usage_error(
        has_class_embedding() ? "UNet2DModel: class_labels are missing: the network has a class embedding"
                              : "UNet2DModel: class_labels given, but the network has no class embedding",
        has_class_embedding() ? "Give one label a picture." : "Leave them out, or train with num_class_embeds.");
  if (!class_labels.defined()) return;
  const bool as_vectors = options_.class_embed_type == ClassEmbedType::identity;
  const bool fits = as_vectors ? class_labels.dim() == 2 && class_labels.size(1) == options_.temb_channels() &&
                                     fits_batch(class_labels.select(1, 0))
                               : fits_batch(class_labels);
  if (!fits)
    throw usage_error(fmt::format("UNet2DModel: class_labels: expected [{}{}], found [{}]", batch,
                                  as_vectors ? fmt::format(",{}", options_.temb_channels()) : "",
                                  fmt::join(class_labels.sizes(), ",")));
}

void UNet2D::set_gradient_checkpointing(bool on) {
  for (const auto& block : down_blocks_) block->set_gradient_checkpointing(on);
  if (mid_block_) mid_block_->set_gradient_checkpointing(on);
  for (const auto& block : up_blocks_) block->set_gradient_checkpointing(on);
}

}  // namespace unnoise
