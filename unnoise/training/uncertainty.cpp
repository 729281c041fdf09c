#include "unnoise/training/uncertainty.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/outer.h>

#include <numbers>

namespace unnoise {
namespace {

constexpr int64_t kWaves = 128;  // EDM2's logvar_channels

}  // namespace

Uncertainty::Uncertainty(Rng& init)
    : frequencies_(2 * std::numbers::pi * init.normal({kWaves})),
      phases_(2 * std::numbers::pi * init.uniform({kWaves})),
      linear_({.in_features = kWaves, .out_features = 1, .bias = true}, &init) {
  add_buffer("frequencies", frequencies_);
  add_buffer("phases", phases_);
  add_child("linear", linear_);
  linear_.weight().detach().zero_();
  linear_.bias().detach().zero_();
}

Tensor Uncertainty::operator()(const Tensor& snr) const {
  const Tensor c_noise = snr.to(at::kFloat).clamp(1e-12, 1e12).log() * -0.125;  // log(sigma/alpha) / 4
  const Tensor waves = (at::outer(c_noise, frequencies_) + phases_).cos() * std::numbers::sqrt2;
  return linear_(waves).squeeze(1);
}

}  // namespace unnoise
