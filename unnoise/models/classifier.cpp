#include "unnoise/models/classifier.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

/// Before any layer is made from them.
const ClassifierOptions& checked_options(const ClassifierOptions& o) {
  if (o.channels != 1 && o.channels != 3)
    throw usage_error(fmt::format("classifier: channels: expected 1 or 3, found {}", o.channels));
  if (o.widths.empty()) throw usage_error("classifier: widths: expected at least one");
  if (o.widths.size() > 8 || o.resolution < int64_t{1} << (o.widths.size() - 1))
    throw usage_error(
        fmt::format("classifier: pictures of {} pixels cannot be halved {} times", o.resolution, o.widths.size() - 1));
  for (const int64_t width : o.widths)
    if (width < 1 || width > 4096)
      throw usage_error(fmt::format("classifier: widths: expected 1 to 4096, found {}", width));
  if (o.num_classes < 2 || o.num_classes > 100'000)
    throw usage_error(fmt::format("classifier: num_classes: expected 2 to 100000, found {}", o.num_classes));
  if (!(o.deviation > 0)) throw usage_error("classifier: deviation: expected a number above 0");
  return o;
}

}  // namespace

Classifier::Classifier(const ClassifierOptions& options, Rng* init)
    : options_(checked_options(options)),
      conv_in_({.in_channels = options.channels, .out_channels = options.widths.front(), .padding = 1}, init),
      norm_out_({.groups = options.norm_groups, .channels = options.widths.back()}),
      decision_({.in_features = options.widths.back(), .out_features = options.num_classes}, init) {
  for (size_t i = 1; i < options_.widths.size(); ++i) {
    const int64_t in = options_.widths[i - 1], out = options_.widths[i];
    halving_norms_.emplace_back(GroupNormOptions{.groups = options_.norm_groups, .channels = in});
    halvings_.emplace_back(Conv2dOptions{.in_channels = in, .out_channels = out, .stride = 2, .padding = 1}, init);
    norms_.emplace_back(GroupNormOptions{.groups = options_.norm_groups, .channels = out});
    convs_.emplace_back(Conv2dOptions{.in_channels = out, .out_channels = out, .padding = 1}, init);
  }
  add_child("conv_in", conv_in_);
  add_child("halving_norms", halving_norms_);
  add_child("halvings", halvings_);
  add_child("norms", norms_);
  add_child("convs", convs_);
  add_child("norm_out", norm_out_);
  add_child("decision", decision_);
}

Tensor Classifier::features(const Tensor& x) const {
  if (x.dim() != 4 || x.size(1) != options_.channels)
    throw usage_error(fmt::format("classifier: expected pictures [B,{},H,W]", options_.channels));
  Tensor h = conv_in_(((x + 1) / 2 - options_.mean) / options_.deviation);
  for (size_t i = 0; i < convs_.size(); ++i) {
    h = halvings_[i](halving_norms_[i].with_silu(h));
    h = convs_[i](norms_[i].with_silu(h), {.residual = h});
  }
  return norm_out_.with_silu(h).mean(at::IntArrayRef{2, 3});
}

}  // namespace unnoise
