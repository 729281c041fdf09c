// UNet2DModel: the network of unconditional and class-conditional diffusion (Ho et al. 2020, appendix B; Song et al.
// 2021's NCSN++ with skip blocks). Loads and saves diffusers' weights: a part's name here is its key there.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "unnoise/models/unet2d_blocks.h"
#include "unnoise/models/unet2d_options.h"
#include "unnoise/nn/layers.h"
#include "unnoise/nn/time_embedding.h"

namespace unnoise {

class UNet2D final : public Module {
 public:
  /// Draws the weights from `init` in diffusers' order: the same seed gives the same bits. With nullptr they are left
  /// unset, to be loaded. Throws Error::usage for options that make no network.
  UNet2D(const UNet2DOptions& options, Rng* init);

  /// The noise (or what else it was trained to predict) in x.
  /// x [B,in_channels,H,W], H and W multiples of options().size_multiple(); timesteps 0-dim, [1] or [B], whole or
  /// fractional; class_labels [B] int64, or [B,temb_channels] float with class_embed_type "identity"; must be given
  /// exactly when the network has a class embedding. extra_embedding [B,temb_channels] is added to what the blocks are
  /// told: of training alone, 0 means as if it were not there. A single timestep that `time` plans is not projected
  /// again, unless there is an extra embedding. -> [B,out_channels,H,W]. Throws Error::usage when something does not
  /// fit.
  Tensor operator()(const Tensor& x, const Tensor& timesteps, const Tensor& class_labels = {},
                    const Tensor& extra_embedding = {}, const TimePlan& time = {}) const;
  /// For a sampling's next steps: timesteps [N], N at most TimePlan::kSteps. Empty where it would gain nothing: with
  /// classes, while gradients are recorded, and beyond our own loops on the processor. It outlives neither a change of
  /// the weights nor the network.
  TimePlan plan(const Tensor& timesteps) const;

  const UNet2DOptions& options() const { return options_; }
  bool has_class_embedding() const { return options_.class_embed_type || options_.num_class_embeds; }

  /// Trades time for memory in training: each residual block, with the attention after it, is computed again on the way
  /// back.
  void set_gradient_checkpointing(bool on);
  /// The stream that dropout draws from in training mode; must outlive the calls.
  void set_dropout_rng(Rng* rng) { unnoise::set_dropout_rng(*this, rng); }

  std::string describe() const override { return "UNet2DModel"; }

 private:
  void build_embeddings(Rng* init);
  void build_blocks(Rng* init);
  void check_input(const Tensor& x, const Tensor& timesteps, const Tensor& class_labels) const;
  TimeInput time_of(const Tensor& x, const Tensor& timesteps, const Tensor& class_labels, const Tensor& extra_embedding,
                    const TimePlan& plan) const;
  Tensor project(const Tensor& timesteps, const char* what) const;
  Tensor embed(const Tensor& timesteps, const Tensor& class_labels) const;

  UNet2DOptions options_;
  Conv2d conv_in_;
  std::optional<FourierProjection> time_projection_;
  std::optional<Embedding> time_table_;
  std::optional<TimestepEmbedding> time_embedding_;
  std::optional<Embedding> class_table_;
  std::optional<TimestepEmbedding> class_timestep_;
  ModuleList<DownBlock> down_blocks_;
  std::optional<UNetMidBlock2D> mid_block_;
  ModuleList<UpBlock> up_blocks_;
  std::optional<GroupNorm> conv_norm_out_;
  std::optional<Conv2d> conv_out_;
};

/// Networks of the course and the papers: "butterflies", "mnist", "cifar10", "script".
std::vector<std::string> unet2d_preset_names();
/// resolution: pixels a side; channels: of input and output. Error::usage for an unknown name.
UNet2DOptions unet2d_preset(std::string_view name, std::optional<int64_t> resolution = {},
                            std::optional<int64_t> channels = {});

}  // namespace unnoise
