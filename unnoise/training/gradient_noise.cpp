#include "unnoise/training/gradient_noise.h"

#include <ATen/TensorOperators.h>

#include <cmath>
#include <limits>

namespace unnoise {
namespace {

double squared_norm(const std::vector<Tensor>& tensors) {
  double sum = 0;
  for (const Tensor& t : tensors) sum += t.to(at::kDouble).square().sum().item<double>();
  return sum;
}

}  // namespace

void GradientNoise::add(const std::vector<Tensor>& gradients) {
  small_sum_ += squared_norm(gradients);
  if (batches_++ == 0) {
    sum_.clear();
    for (const Tensor& g : gradients) sum_.push_back(g.detach().clone());
    return;
  }
  for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += gradients[i].detach();
}

void GradientNoise::end_group() {
  const auto k = static_cast<double>(batches_), b = static_cast<double>(batch_);
  if (batches_ >= 2) {
    const double small = small_sum_ / k, big = squared_norm(sum_) / (k * k);
    g2_sum_ += (k * b * big - b * small) / (k * b - b);   // A.1, |G|^2
    trace_sum_ += (small - big) / (1 / b - 1 / (k * b));  // A.1, S
    ++groups_;
  }
  batches_ = 0;
  small_sum_ = 0;
}

double GradientNoise::gradient_squared() const { return g2_sum_ / static_cast<double>(groups_); }
double GradientNoise::trace() const { return trace_sum_ / static_cast<double>(groups_); }

double GradientNoise::noise_scale() const {
  if (groups_ == 0) return std::nan("");
  if (!(g2_sum_ > 0)) return std::numeric_limits<double>::infinity();
  return trace_sum_ / g2_sum_;
}

}  // namespace unnoise
