#include "unnoise/models/basic_unet.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/silu.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "unnoise/core/error.h"
#include "unnoise/nn/resample.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

Conv2dOptions conv5x5(int64_t in_channels, int64_t out_channels) {
  return {.in_channels = in_channels, .out_channels = out_channels, .kernel_size = 5, .padding = 2};
}

}  // namespace

BasicUNet::BasicUNet(const BasicUNetOptions& options, Rng* init) : options_(options) {
  down_layers_.emplace_back(conv5x5(options.in_channels, 32), init);
  down_layers_.emplace_back(conv5x5(32, 64), init);
  down_layers_.emplace_back(conv5x5(64, 64), init);
  up_layers_.emplace_back(conv5x5(64, 64), init);
  up_layers_.emplace_back(conv5x5(64, 32), init);
  up_layers_.emplace_back(conv5x5(32, options.out_channels), init);
  add_child("down_layers", down_layers_);
  add_child("up_layers", up_layers_);
}

Tensor BasicUNet::operator()(const Tensor& x) const {
  if (x.dim() != 4 || x.size(1) != options_.in_channels || x.size(2) < 4 || x.size(3) < 4 || x.size(2) % 4 != 0 ||
      x.size(3) % 4 != 0)
    throw usage_error(fmt::format("BasicUNet: expected [batch,{},height,width], found [{}]", options_.in_channels,
                                  fmt::join(x.sizes(), ",")),
                      "It halves a picture twice: use sizes that are multiples of 4.");
  Tensor h = at::silu(down_layers_[0](x));  // [B,32,H,W]
  const Tensor full = h;
  h = at::silu(down_layers_[1](at::max_pool2d(h, {2, 2})));  // [B,64,H/2,W/2]
  const Tensor half = h;
  h = at::silu(down_layers_[2](at::max_pool2d(h, {2, 2})));  // [B,64,H/4,W/4]

  h = at::silu(up_layers_[0](h));
  h = at::silu(up_layers_[1](resample(h, Resampling::up) + half));  // [B,32,H/2,W/2]
  h = at::silu(up_layers_[2](resample(h, Resampling::up) + full)).contiguous();
  Trace::note(*this, h);
  return h;
}

}  // namespace unnoise
