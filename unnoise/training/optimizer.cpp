#include "unnoise/training/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/training/adamw8bit.h"
#include "unnoise/training/muon.h"
#include "unnoise/training/named_tensors.h"

namespace unnoise {
namespace {

void check(bool ok, std::string_view name, std::string_view expected, double found) {
  if (!ok) throw usage_error(fmt::format("{}: expected {}, found {}", name, expected, found));
}

void check_options(const OptimizerOptions& o) {
  check(std::isfinite(o.learning_rate) && o.learning_rate >= 0, "learning_rate", "0 or more", o.learning_rate);
  check(std::isfinite(o.weight_decay) && o.weight_decay >= 0, "weight_decay", "0 or more", o.weight_decay);
  if (o.type == OptimizerType::sgd) {
    check(o.momentum >= 0, "momentum", "0 or more", o.momentum);
    check(!o.nesterov || o.momentum > 0, "momentum", "above 0 with nesterov", o.momentum);
    return;
  }
  check(o.beta1 >= 0 && o.beta1 < 1, "beta1", "at least 0 and below 1", o.beta1);
  check(o.beta2 >= 0 && o.beta2 < 1, "beta2", "at least 0 and below 1", o.beta2);
  check(o.epsilon >= 0, "epsilon", "0 or more", o.epsilon);
}

std::vector<Tensor> gradients(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> out;
  for (const Tensor& p : parameters)
    if (p.grad().defined()) out.push_back(p.grad());
  return out;
}

}  // namespace

std::unique_ptr<UpdateRule> make_update_rule(const OptimizerOptions& options, const std::string& name,
                                             const Tensor& parameter) {
  using enum OptimizerType;
  if (options.type == muon && muon_moves(name, parameter)) return std::make_unique<Muon>(parameter);
  if (options.type == adamw8bit && parameter.numel() >= kSmallest8bit) return std::make_unique<AdamW8bit>(parameter);
  return nullptr;
}

Optimizer::~Optimizer() = default;

Optimizer::Optimizer(const StateDict& named_parameters, const OptimizerOptions& options) : options_(options) {
  check_options(options);
  c10::NoGradGuard no_grad;
  for (const auto& [name, parameter] : named_parameters) {
    if (!parameter.requires_grad()) continue;
    names_.push_back(name);
    parameters_.push_back(parameter);
    rules_.push_back(make_update_rule(options, name, parameter));
    if (options.type == OptimizerType::sgd) {
      if (options.momentum != 0) momentum_.push_back(at::zeros_like(parameter));
    } else if (rules_.back()) {
      for (auto* none : {&steps_, &exp_avg_, &exp_avg_sq_}) none->emplace_back();
    } else {
      steps_.push_back(at::zeros({}, parameter.options().dtype(at::kFloat)));
      exp_avg_.push_back(at::zeros_like(parameter));
      exp_avg_sq_.push_back(at::zeros_like(parameter));
    }
  }
  if (parameters_.empty()) throw usage_error("the optimizer has nothing to train: no parameter needs a gradient");
}

Tensor Optimizer::laid_out_like(const Tensor& gradient, const Tensor& parameter) {
  if (gradient.strides() == parameter.strides()) return gradient;
  return at::empty_like(parameter).copy_(gradient);
}

void Optimizer::zero_grad() {
  for (const Tensor& p : parameters_) p.mutable_grad().reset();
}

void Optimizer::step() {
  c10::NoGradGuard no_grad;
  options_.type == OptimizerType::sgd ? step_sgd() : step_adam();
  step_rules();
}

void Optimizer::step_rules() {
  for (size_t i = 0; i < rules_.size(); ++i)
    if (rules_[i] && parameters_[i].grad().defined())
      rules_[i]->update(parameters_[i], laid_out_like(parameters_[i].grad(), parameters_[i]), options_);
}

void Optimizer::step_adam() {
  std::vector<Tensor> params, grads, exp_avg, exp_avg_sq, steps;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& grad = parameters_[i].grad();
    if (!grad.defined() || rules_[i]) continue;
    params.push_back(parameters_[i]);
    grads.push_back(laid_out_like(grad, parameters_[i]));
    exp_avg.push_back(exp_avg_[i]);
    exp_avg_sq.push_back(exp_avg_sq_[i]);
    steps.push_back(steps_[i]);
  }
  if (params.empty()) return;
  at::_foreach_add_(steps, 1);  // before the update: the bias corrections are 1 - beta^step with step from 1
  const auto update = [&](auto fused) {
    fused(params, grads, exp_avg, exp_avg_sq, std::vector<Tensor>{}, steps, options_.learning_rate, options_.beta1,
          options_.beta2, options_.weight_decay, options_.epsilon, /*amsgrad=*/false, /*maximize=*/false);
  };
  if (options_.type == OptimizerType::adam) {
    update([](const auto&... args) { at::_fused_adam_(args...); });
  } else {
    update([](const auto&... args) { at::_fused_adamw_(args...); });
  }
}

void Optimizer::step_sgd() {
  std::vector<Tensor> params, grads, momentum;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& grad = parameters_[i].grad();
    if (!grad.defined()) continue;
    params.push_back(parameters_[i]);
    grads.push_back(laid_out_like(grad, parameters_[i]));
    if (!momentum_.empty()) momentum.push_back(momentum_[i]);
  }
  if (params.empty()) return;
  // torch's first step copies the gradient into the buffer; ours begins at zero, and momentum * 0 + gradient is the
  // same.
  at::_fused_sgd_(params, grads, momentum, options_.weight_decay, options_.momentum, options_.learning_rate,
                  /*dampening=*/0.0, options_.nesterov, /*maximize=*/false, /*is_first_step=*/false);
}

StateDict Optimizer::state() const {
  StateDict out;
  for (size_t i = 0; i < names_.size(); ++i) {
    if (rules_[i]) {
      for (const auto& [name, tensor] : rules_[i]->state()) out.emplace_back(names_[i] + "." + name, tensor);
    } else if (!steps_.empty()) {
      out.emplace_back(names_[i] + ".step", steps_[i]);
      out.emplace_back(names_[i] + ".exp_avg", exp_avg_[i]);
      out.emplace_back(names_[i] + ".exp_avg_sq", exp_avg_sq_[i]);
    }
    if (!momentum_.empty()) out.emplace_back(names_[i] + ".momentum_buffer", momentum_[i]);
  }
  return out;
}

void Optimizer::load_state(const StateDict& given, std::string_view where) {
  copy_by_name(given, state(), fmt::format("{}: the optimizer's state does not fit", where),
               "Resume with the network and the optimizer that the checkpoint was made with.");
}

double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm) {
  c10::NoGradGuard no_grad;
  const std::vector<Tensor> grads = gradients(parameters);
  if (grads.empty()) return 0.0;
  const Tensor norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(grads, 2)), 2);
  const Tensor factor = max_norm / (norm + 1e-6);
  const auto total = norm.item<double>();
  if (std::isfinite(total) && factor.item<double>() < 1.0) at::_foreach_mul_(grads, factor);
  return total;
}

}  // namespace unnoise
