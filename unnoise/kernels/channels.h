// Channels-last maps side by side: what at::cat and a copy of its narrowed gradient do pixel by pixel, in slow loops.
#pragma once

#include <cstdint>

namespace unnoise::kernels {

/// One map's share of a pixel, in bytes, so that a type does not matter.
struct ChannelBytes {
  void* data;
  int64_t size;
};
struct ConstChannelBytes {
  const void* data;
  int64_t size;
};

/// whole [pixels][a.size + b.size] from a [pixels][a.size] and b [pixels][b.size].
void join_channels(int64_t pixels, ConstChannelBytes a, ConstChannelBytes b, void* whole);
/// The reverse; a part whose data is null is left out.
void split_channels(int64_t pixels, const void* whole, ChannelBytes a, ChannelBytes b);

/// y [batch][2 height][2 width] from x [batch][height][width], pixels of `size` bytes: each becomes four.
void double_pixels(int64_t batch, int64_t height, int64_t width, int64_t size, const void* x, void* y);

}  // namespace unnoise::kernels
