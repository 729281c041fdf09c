#include "unnoise/nn/resample.h"

#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <c10/core/GradMode.h>

#include "unnoise/kernels/channels.h"
#include "unnoise/nn/kernel_choice.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

/// The separable filter (1 3 3 1)/8 in two dimensions, times `gain`. [1,1,4,4].
Tensor fir_filter(float gain, const Tensor& like) {
  constexpr float kTaps[] = {1, 3, 3, 1};
  Tensor filter = at::empty({1, 1, 4, 4}, at::kFloat);
  float* out = filter.mutable_data_ptr<float>();
  for (const float row : kTaps)
    for (const float column : kTaps) *out++ = row * column / 64 * gain;
  return filter.to(like.options());
}

/// Each channel on its own: [B,C,H,W] as [B*C,1,H,W].
Tensor channels_apart(const Tensor& x) { return x.reshape({x.size(0) * x.size(1), 1, x.size(2), x.size(3)}); }

Tensor channels_together(const Tensor& y, const Tensor& x) {
  return y.view({x.size(0), x.size(1), y.size(2), y.size(3)});
}

}  // namespace

Tensor resample(const Tensor& x, Resampling how) {
  switch (how) {
    case Resampling::none:
      return x;
    case Resampling::down:
      return at::avg_pool2d(x, {2, 2}, {2, 2});
    case Resampling::up:
      return nearest_resize(x, {2 * x.size(2), 2 * x.size(3)});
    case Resampling::down_fir:
      return channels_together(at::conv2d(channels_apart(x), fir_filter(1, x), {}, {2, 2}, {1, 1}), x);
    case Resampling::up_fir:  // the gain makes up for the zeros
      return channels_together(at::conv_transpose2d(channels_apart(x), fir_filter(4, x), {}, {2, 2}, {1, 1}), x);
  }
  return x;
}

Tensor nearest_resize(const Tensor& x, std::array<int64_t, 2> size) {
  const int64_t batch = x.size(0), channels = x.size(1), height = x.size(2), width = x.size(3);
  const bool doubles = size[0] == 2 * height && size[1] == 2 * width;
  if (!doubles || c10::GradMode::is_enabled() || !use_fast_kernels(x)) return at::upsample_nearest2d(x, size);
  const Tensor from = channels_last(x);
  Tensor y = at::empty({batch, channels, size[0], size[1]}, x.options(), at::MemoryFormat::ChannelsLast);
  kernels::double_pixels(batch, height, width, channels * x.element_size(), from.const_data_ptr(),
                         y.mutable_data_ptr());
  return y;
}

Downsample2D::Downsample2D(const Options& options, Rng* init)
    : conv_({.in_channels = options.in_channels,
             .out_channels = options.out_channels,
             .kernel_size = 3,
             .stride = 2,
             .padding = options.padding,
             .end_padding = options.padding == 0 ? 1 : options.padding},
            init) {
  add_child("conv", conv_);
}

Tensor Downsample2D::operator()(const Tensor& x) const {
  Tensor y = conv_(x);
  Trace::note(*this, y);
  return y;
}

Upsample2D::Upsample2D(int64_t in_channels, int64_t out_channels, Rng* init)
    : conv_({.in_channels = in_channels, .out_channels = out_channels, .kernel_size = 3, .padding = 1}, init) {
  add_child("conv", conv_);
}

Tensor Upsample2D::operator()(const Tensor& x, std::optional<std::array<int64_t, 2>> size) const {
  Tensor y = conv_(size ? Remade(nearest_resize(x, *size)) : Remade::doubled(x));
  Trace::note(*this, y);
  return y;
}

}  // namespace unnoise
