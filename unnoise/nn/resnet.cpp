#include "unnoise/nn/resnet.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include "unnoise/nn/norm_conv.h"
#include "unnoise/nn/trace.h"

namespace unnoise {
namespace {

std::optional<Linear> time_projection(const ResnetOptions& o, Rng* init) {
  if (o.temb_channels == 0) return std::nullopt;
  const int64_t parts = o.time_injection == TimeInjection::scale_shift ? 2 : 1;
  return std::optional<Linear>(std::in_place, LinearOptions{o.temb_channels, parts * o.out_channels}, init);
}

}  // namespace

ResnetBlock2D::ResnetBlock2D(const ResnetOptions& o, Rng* init)
    : options_(o),
      norm1_({o.groups, o.in_channels, o.eps}),
      conv1_({.in_channels = o.in_channels, .out_channels = o.out_channels, .padding = 1}, init),
      time_emb_proj_(time_projection(o, init)),
      norm2_({o.groups_out > 0 ? o.groups_out : o.groups, o.out_channels, o.eps}),
      dropout_(o.dropout),
      conv2_({.in_channels = o.out_channels, .out_channels = o.out_channels, .padding = 1}, init) {
  if (o.conv_shortcut.value_or(o.in_channels != o.out_channels))
    conv_shortcut_.emplace(
        Conv2dOptions{.in_channels = o.in_channels, .out_channels = o.out_channels, .kernel_size = 1}, init);
  add_child("norm1", norm1_);
  add_child("conv1", conv1_);
  if (time_emb_proj_) add_child("time_emb_proj", *time_emb_proj_);
  add_child("norm2", norm2_);
  add_child("dropout", dropout_);
  add_child("conv2", conv2_);
  if (conv_shortcut_) add_child("conv_shortcut", *conv_shortcut_);
}

Tensor ResnetBlock2D::project_time(const Tensor& temb) const {
  return time_emb_proj_ ? (*time_emb_proj_)(activate(temb, options_.activation)) : Tensor();
}

Tensor ResnetBlock2D::operator()(const Remade& x, const TimeInput& input) const {
  Tensor time;
  if (input.plan && time_emb_proj_)
    time = input.plan->row(*this, input.step).expand({x.map.size(0), -1});
  else
    time = project_time(input.temb);
  const bool scales = time.defined() && options_.time_injection == TimeInjection::scale_shift;

  const ConvSums time_sum{.image_bias = scales ? Tensor() : time};
  Tensor h;
  if (options_.resampling == Resampling::none && uses_silu())
    h = norm_silu_conv(x, norm1_, conv1_, time_sum);
  else
    h = conv1_(resample(norm_and_activate(norm1_, x.map), options_.resampling), time_sum);

  const Remade around = options_.resampling == Resampling::none ? x : resample(x.map, options_.resampling);
  const Tensor shortcut = conv_shortcut_ ? (*conv_shortcut_)(around) : around.map;
  Tensor y;
  if (scales) {
    const auto scale_shift = time.unsqueeze(-1).unsqueeze(-1).chunk(2, 1);
    h = activate(norm2_(h) * (scale_shift[0] + 1) + scale_shift[1], options_.activation);
    y = conv2_(dropout_(h), {.residual = shortcut});
  } else if (uses_silu() && !dropout_.is_active()) {
    y = norm_silu_conv(h, norm2_, conv2_, {.residual = shortcut});
  } else {
    y = conv2_(dropout_(norm_and_activate(norm2_, h)), {.residual = shortcut});
  }
  if (options_.output_scale_factor != 1) y = y / options_.output_scale_factor;
  Trace::note(*this, y);
  return y;
}

Tensor ResnetBlock2D::norm_and_activate(const GroupNorm& norm, const Tensor& x) const {
  return uses_silu() ? norm.with_silu(x) : activate(norm(x), options_.activation);
}

bool ResnetBlock2D::uses_silu() const {
  return options_.activation == Activation::silu || options_.activation == Activation::swish;
}

std::string ResnetBlock2D::describe() const {
  std::string text = fmt::format("ResnetBlock2D({}, {}", options_.in_channels, options_.out_channels);
  switch (options_.resampling) {
    case Resampling::none:
      break;
    case Resampling::down:
    case Resampling::down_fir:
      text += ", down";
      break;
    case Resampling::up:
    case Resampling::up_fir:
      text += ", up";
      break;
  }
  return text + ")";
}

}  // namespace unnoise
