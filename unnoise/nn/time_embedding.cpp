#include "unnoise/nn/time_embedding.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/log.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/sin.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "unnoise/nn/trace.h"

namespace unnoise {

Tensor timestep_embedding(const Tensor& timesteps, const SinusoidOptions& options) {
  const int64_t half = options.dim / 2;
  const Tensor steps = at::arange(half, timesteps.options().dtype(at::kFloat));
  const Tensor frequencies =
      at::exp(steps * -std::log(options.max_period) / (static_cast<double>(half) - options.freq_shift));
  Tensor angles = timesteps.to(at::kFloat).unsqueeze(1) * frequencies;  // [B,half]
  if (options.scale != 1) angles = angles * options.scale;
  const Tensor sines = at::sin(angles), cosines = at::cos(angles);
  const Tensor waves = options.flip_sin_to_cos ? at::cat({cosines, sines}, 1) : at::cat({sines, cosines}, 1);
  return options.dim % 2 == 0 ? waves : at::constant_pad_nd(waves, {0, 1});
}

FourierProjection::FourierProjection(int64_t dim, double scale, Rng* init) {
  if (init) {
    init->normal({dim});
    weight_ = init->normal({dim}) * scale;
  } else {
    weight_ = at::empty({dim}, at::kFloat);
  }
  add_frozen_parameter("weight", weight_);
}

Tensor FourierProjection::operator()(const Tensor& timesteps) const {
  const Tensor angles = at::log(timesteps).unsqueeze(1) * weight_ * 2 * std::numbers::pi;  // [B,dim]
  Tensor y = at::cat({at::sin(angles), at::cos(angles)}, 1);
  Trace::note(*this, y);
  return y;
}

std::string FourierProjection::describe() const { return fmt::format("FourierProjection({})", weight_.size(0)); }

TimestepEmbedding::TimestepEmbedding(int64_t in_features, int64_t out_features, Rng* init)
    : linear_1_({in_features, out_features}, init), linear_2_({out_features, out_features}, init) {
  add_child("linear_1", linear_1_);
  add_child("linear_2", linear_2_);
}

Tensor TimestepEmbedding::operator()(const Tensor& x) const {
  Tensor y = linear_2_(at::silu(linear_1_(x)));
  Trace::note(*this, y);
  return y;
}

}  // namespace unnoise
