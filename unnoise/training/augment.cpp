#include "unnoise/training/augment.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/affine_grid_generator.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/grid_sampler.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <numbers>

#include "unnoise/core/error.h"
#include "unnoise/nn/beside.h"

namespace unnoise {
namespace {

constexpr double kLogScaleStd = 0.2;  // in powers of 2
constexpr double kShiftStd = 0.125;   // of the picture's size
constexpr int64_t kBilinear = 0, kReflect = 2;

/// [B] each -> [B,3,3], row by row; homogeneous coordinates of the picture in [-1,1].
Tensor matrix(const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& d, const Tensor& e, const Tensor& f) {
  const Tensor zero = at::zeros_like(a), one = at::ones_like(a);
  return at::stack({a, b, c, d, e, f, zero, zero, one}, 1).reshape({-1, 3, 3});
}
Tensor scaling(const Tensor& x, const Tensor& y) {
  const Tensor zero = at::zeros_like(x);
  return matrix(x, zero, zero, zero, y, zero);
}
Tensor rotation(const Tensor& angle) {
  const Tensor c = angle.cos(), s = angle.sin(), zero = at::zeros_like(c);
  return matrix(c, -s, zero, s, c, zero);
}

/// Draws, where chosen; 0 elsewhere.
class Chooser {
 public:
  Chooser(int64_t batch, double p, Rng& rng) : batch_(batch), p_(p), rng_(rng) {}
  Tensor chosen() { return (rng_.uniform({batch_}) < p_).to(at::kFloat); }
  Tensor normal(const Tensor& where) { return rng_.normal({batch_}) * where; }
  Tensor angle(const Tensor& where) { return (rng_.uniform({batch_}) * 2 - 1) * std::numbers::pi * where; }

 private:
  const int64_t batch_;
  const double p_;
  Rng& rng_;
};

}  // namespace

Augmented augment(const Tensor& x0, double p, Rng& rng) {
  if (!(p >= 0 && p <= 1)) throw usage_error(fmt::format("augment: expected a probability of 0 to 1, found {}", p));
  Chooser draw(x0.size(0), p, rng);
  // The grid asks where a pixel of the new picture comes from: the inverses of the changes, the last one first. Angles
  // count against the clock, while y points down.
  const Tensor mirror_x = draw.chosen(), mirror_y = draw.chosen();
  Tensor from = scaling(1 - 2 * mirror_x, 1 - 2 * mirror_y);

  const Tensor scale = draw.normal(draw.chosen()) * kLogScaleStd, shrink = (-scale).exp2();
  from = at::matmul(from, scaling(shrink, shrink));

  const Tensor turn = draw.angle(draw.chosen());
  from = at::matmul(from, rotation(turn));

  const Tensor stretched = draw.chosen();
  const Tensor stretch = draw.normal(stretched) * kLogScaleStd, direction = draw.angle(stretched);
  const Tensor narrow = at::matmul(scaling((-stretch).exp2(), stretch.exp2()), rotation(direction));
  from = at::matmul(from, at::matmul(rotation(-direction), narrow));

  const Tensor moved = draw.chosen();
  const Tensor shift_x = draw.normal(moved) * kShiftStd, shift_y = draw.normal(moved) * kShiftStd;
  const Tensor one = at::ones_like(shift_x), zero = at::zeros_like(shift_x);
  from = at::matmul(from, matrix(one, zero, -2 * shift_x, zero, one, -2 * shift_y));

  const Tensor labels = at::stack(
      {mirror_x, mirror_y, scale / kLogScaleStd, turn.cos() - 1, turn.sin(), stretch / kLogScaleStd * direction.cos(),
       stretch / kLogScaleStd * direction.sin(), shift_x / kShiftStd, shift_y / kShiftStd},
      1);
  const Tensor grid = at::affine_grid_generator(from.narrow(1, 0, 2).to(x0.device()), x0.sizes(), false);
  const Tensor changed = at::grid_sampler(x0, grid.to(x0.scalar_type()), kBilinear, kReflect, false);
  // What was not touched stays what it was, to the bit.
  const Tensor touched = beside((labels != 0).any(1), x0).to(x0.device());
  return {at::where(touched, changed, x0), labels};
}

Tensor augment_embedding(const Tensor& labels, int64_t temb_channels) {
  if (temb_channels < labels.size(1))
    throw usage_error(fmt::format("augment: the network's time embedding has {} channels, needs at least {}",
                                  temb_channels, labels.size(1)));
  return at::constant_pad_nd(labels, {0, temb_channels - labels.size(1)});
}

}  // namespace unnoise
