#include "unnoise/schedulers/dormand_prince.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr size_t kStages = 7;

// The tableau: stage i is at s + c_i h, y + h sum_j a_ij k_j. The last row is the fifth-order solution itself.
constexpr std::array<double, kStages> c{0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1};
constexpr std::array<std::array<double, kStages - 1>, kStages> a{{
    {},
    {1.0 / 5},
    {3.0 / 40, 9.0 / 40},
    {44.0 / 45, -56.0 / 15, 32.0 / 9},
    {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
    {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
    {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84},
}};
// Fifth minus fourth order
constexpr std::array<double, kStages> error_weight{71.0 / 57600,      0,          -71.0 / 16695, 71.0 / 1920,
                                                   -17253.0 / 339200, 22.0 / 525, -1.0 / 40};

constexpr double kSafety = 0.9, kShrinkAtMost = 0.2, kGrowAtMost = 5;
constexpr double kShortestStep = 1e-7;  // relative to the whole way: below this float32 makes no progress

/// y + h sum_j weight_j k_j
template <size_t N>
Tensor combined(const Tensor& y, double h, const std::array<double, N>& weight, const std::vector<Tensor>& k) {
  Tensor out = y;
  for (size_t j = 0; j < std::min(k.size(), N); ++j)
    if (weight[j] != 0) out = out.add(k[j], h * weight[j]);
  return out;
}

/// Root mean square over a row, the worst row.
double norm(const Tensor& x) { return x.reshape({x.size(0), -1}).square().mean(1).max().item<double>(); }

}  // namespace

void check_tolerance(const OdeTolerance& tolerance) {
  for (const auto& [name, value] : {std::pair{"rtol", tolerance.rtol}, std::pair{"atol", tolerance.atol}})
    if (!(value > 0)) throw usage_error(fmt::format("{}: expected above 0, found {}", name, value));
}

DormandPrince::DormandPrince(Tensor y, double begin, double end, const OdeSteps& steps, const OdeTolerance& tolerance)
    : y_(std::move(y)),
      s_(begin),
      end_(end),
      h_(std::copysign(std::min(steps.first, std::abs(end - begin)), end - begin)),
      longest_(steps.longest),
      tolerance_(tolerance),
      stage_y_(y_),
      stage_s_(begin) {
  done_ = begin == end;
  is_last_step_ = h_ == end - begin;
}

void DormandPrince::advance(Tensor derivative) {
  if (done_) throw usage_error("the end was reached: no derivative is wanted");
  k_.push_back(std::move(derivative));
  if (k_.size() == kStages) return finish_step();
  next_stage();
}

void DormandPrince::next_stage() {
  const size_t i = k_.size();
  stage_s_ = is_last_step_ && c[i] == 1 ? end_ : s_ + c[i] * h_;  // exactly the end, not a rounding beside it
  stage_y_ = combined(y_, h_, a[i], k_);
}

void DormandPrince::finish_step() {
  // The last stage is the fifth-order solution.
  const Tensor scale = at::maximum(y_.abs(), stage_y_.abs()) * tolerance_.rtol + tolerance_.atol;
  const double error = std::sqrt(norm(combined(at::zeros_like(y_), h_, error_weight, k_) / scale));
  const double factor =
      std::isfinite(error) ? std::clamp(kSafety * std::pow(error, -0.2), kShrinkAtMost, kGrowAtMost) : kShrinkAtMost;
  const Tensor first = k_.front(), last = k_.back();
  k_.clear();
  if (std::isfinite(error) && error <= 1) {
    ++accepted_;
    y_ = stage_y_;
    s_ = stage_s_;
    k_.push_back(last);
    if (s_ == end_) {
      done_ = true;
      return;
    }
  } else {
    ++rejected_;
    k_.push_back(first);
  }
  h_ = std::clamp(h_ * factor, -longest_, longest_);
  begin_step();
}

void DormandPrince::begin_step() {
  const double left = end_ - s_;
  if (std::abs(h_) < kShortestStep * std::max(std::abs(end_), 1.0) && std::abs(h_) < std::abs(left))
    throw data_error(fmt::format("the adaptive solver cannot make its error small enough at {} (step {})", s_, h_),
                     "Give a larger rtol and atol; if the samples are not finite, the weights have diverged.");
  is_last_step_ = std::abs(h_) >= 0.999 * std::abs(left);  // no crumb of a step at the end
  if (is_last_step_) h_ = left;
  next_stage();
}

}  // namespace unnoise
