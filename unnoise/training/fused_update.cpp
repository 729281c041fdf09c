#include "unnoise/training/fused_update.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_lerp.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "unnoise/kernels/adamw.h"
#include "unnoise/nn/kernel_choice.h"

namespace unnoise {

/// The friend of both classes: gathers what the kernel walks over.
class FusedUpdate {
 public:
  FusedUpdate(Optimizer& optimizer, Ema* ema) : optimizer_(optimizer), ema_(ema) {}

  /// False when the kernel does not fit.
  bool gather() {
    const OptimizerType type = optimizer_.options_.type;
    const bool of_adam = type == OptimizerType::adamw || type == OptimizerType::adam;
    if (!of_adam || kernel_choice() != Kernels::fast) return false;
    for (size_t i = 0; i < optimizer_.parameters_.size(); ++i) {
      const Tensor& parameter = optimizer_.parameters_[i];
      if (!fits(parameter)) return false;
      if (!parameter.grad().defined()) continue;
      const Tensor& m = optimizer_.exp_avg_[i];
      const Tensor& v = optimizer_.exp_avg_sq_[i];
      if (!fits(parameter.grad()) || !lies_like(m, parameter) || !lies_like(v, parameter)) return false;
      gradients_.push_back(Optimizer::laid_out_like(parameter.grad(), parameter));
      spans_.push_back({.parameter = parameter.data_ptr<float>(),
                        .gradient = gradients_.back().const_data_ptr<float>(),
                        .exp_avg = m.data_ptr<float>(),
                        .exp_avg_sq = v.data_ptr<float>(),
                        .count = parameter.numel()});
      steps_.push_back(optimizer_.steps_[i].data_ptr<float>());
    }
    return true;
  }

  double gradient_norm() const {
    std::vector<kernels::FloatSpan> spans;
    spans.reserve(spans_.size());
    for (const auto& span : spans_) spans.push_back({span.gradient, span.count});
    return std::sqrt(kernels::sum_of_squares(spans));
  }

  void apply(double norm, double max_norm) {
    const OptimizerOptions& o = optimizer_.options_;
    for (size_t i = 0; i < spans_.size(); ++i) spans_[i].step = ++*steps_[i];
    const double weight = ema_ ? 1.0 - ema_->begin_step() : 0.0;
    if (ema_) find_averages();
    kernels::adam_step(spans_, {.decoupled = o.type == OptimizerType::adamw,
                                .learning_rate = o.learning_rate,
                                .beta1 = o.beta1,
                                .beta2 = o.beta2,
                                .epsilon = o.epsilon,
                                .weight_decay = o.weight_decay,
                                .gradient_scale = static_cast<float>(std::min(1.0, max_norm / (norm + 1e-6))),
                                .average_weight = weight});
    if (!still_averages_.empty()) at::_foreach_lerp_(still_averages_, still_, weight);
    if (!frozen_averages_.empty()) at::_foreach_copy_(frozen_averages_, frozen_);
    // The kernel wrote behind autograd's back: a graph that still holds a parameter must see that it has changed.
    for (const Tensor& p : optimizer_.parameters_) p.unsafeGetTensorImpl()->bump_version();
  }

 private:
  static bool fits(const Tensor& t) {
    return t.is_cpu() && t.scalar_type() == at::kFloat && t.is_non_overlapping_and_dense();
  }
  static bool lies_like(const Tensor& a, const Tensor& b) { return fits(a) && a.strides() == b.strides(); }

  /// Gives each span its average. What the kernel does not walk over, parameters without a gradient among it, is moved
  /// by Ema's own operators.
  void find_averages() {
    std::unordered_map<const float*, size_t> span_of;
    for (size_t i = 0; i < spans_.size(); ++i)
      if (spans_[i].count > 0) span_of.emplace(spans_[i].parameter, i);
    for (size_t i = 0; i < ema_->parameters_.size(); ++i) {
      const Tensor &parameter = ema_->parameters_[i], &average = ema_->averages_[i];
      const auto found =
          lies_like(average, parameter) ? span_of.find(parameter.const_data_ptr<float>()) : span_of.end();
      if (found != span_of.end() && spans_[found->second].count == parameter.numel()) {
        spans_[found->second].average = average.data_ptr<float>();
      } else {
        (parameter.requires_grad() ? still_ : frozen_).push_back(parameter);
        (parameter.requires_grad() ? still_averages_ : frozen_averages_).push_back(average);
      }
    }
  }

  Optimizer& optimizer_;
  Ema* ema_;
  std::vector<kernels::AdamSpan> spans_;
  std::vector<float*> steps_;
  std::vector<Tensor> gradients_;  ///< keeps what was laid out anew
  std::vector<Tensor> still_, still_averages_, frozen_, frozen_averages_;
};

std::optional<double> fused_update(Optimizer& optimizer, Ema* ema, double max_norm) {
  c10::NoGradGuard no_grad;
  FusedUpdate update(optimizer, ema);
  if (!update.gather()) return std::nullopt;
  const double norm = update.gradient_norm();
  if (std::isfinite(norm)) update.apply(norm, max_norm);
  return norm;
}

}  // namespace unnoise
