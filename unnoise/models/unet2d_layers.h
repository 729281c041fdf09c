// Options of the layers inside the UNet's blocks, from those of the block. Shared by the plain and the skip blocks.
#pragma once

#include <algorithm>
#include <vector>

#include "unnoise/models/unet2d_blocks.h"

namespace unnoise {

/// Groups of a norm where the options leave them open.
inline int64_t default_groups(int64_t channels) { return std::max<int64_t>(1, std::min<int64_t>(channels / 4, 32)); }

/// A residual block from in_channels to the block's channels.
inline ResnetOptions resnet_options(const BlockOptions& o, int64_t in_channels) {
  return {.in_channels = in_channels,
          .out_channels = o.out_channels,
          .temb_channels = o.temb_channels,
          .groups = o.groups.value_or(default_groups(in_channels)),
          .groups_out = o.groups.value_or(default_groups(o.out_channels)),
          .eps = o.eps,
          .dropout = o.dropout,
          .activation = o.activation,
          .time_injection = o.time_injection,
          .output_scale_factor = o.output_scale_factor};
}

/// The residual block at the end that changes the resolution.
inline ResnetOptions resampling_resnet(const BlockOptions& o, Resampling how) {
  ResnetOptions options = resnet_options(o, o.out_channels);
  options.resampling = how;
  return options;
}

inline AttentionOptions attention_options(const BlockOptions& o) {
  return {.channels = o.out_channels,
          .head_dim = o.head_dim,
          .norm_groups = o.attention_groups,
          .eps = o.eps,
          .output_scale_factor = o.output_scale_factor};
}

/// Channels of the features that layer i gets from the layer before it,
inline int64_t layer_input(const BlockOptions& o, int64_t i) { return i == 0 ? o.in_channels : o.out_channels; }
/// and, on the way up, of the kept feature map beside them.
inline int64_t layer_kept(const BlockOptions& o, int64_t i) {
  return i + 1 == o.num_layers ? o.skip_channels : o.out_channels;
}

inline Tensor take_last(std::vector<Tensor>& kept) {
  Tensor last = std::move(kept.back());
  kept.pop_back();
  return last;
}

}  // namespace unnoise
