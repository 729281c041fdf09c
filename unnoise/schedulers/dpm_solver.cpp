#include "unnoise/schedulers/dpm_solver.h"

#include <ATen/TensorOperators.h>

#include <algorithm>

namespace unnoise {

Tensor apply(const DpmUpdate& update, const Tensor& x, std::span<const Tensor> m, const Tensor& noise,
             at::ScalarType dtype) {
  const bool wide = x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble;
  Tensor next = (wide ? x : x.to(at::kFloat)).mul(update.x);
  // Two roundings as in diffusers, where add_(m, weight) has one: near pure noise x and eps, both large, nearly cancel.
  for (size_t k = 0; k < update.m.size(); ++k) next.add_(m[k].mul(update.m[k]));
  if (update.noise != 0) next.add_(noise, update.noise);
  return next.to(dtype);
}

DpmSolver::DpmSolver(PredictionType prediction_type, const ThresholdOptions& threshold, Integrand integrand,
                     DpmGrid grid)
    : prediction_type_(prediction_type), threshold_(threshold), integrand_(integrand), grid_(std::move(grid)) {}

Tensor DpmSolver::raw_x0(const Tensor& x, const Tensor& prediction, const Step& step) const {
  const auto& [alpha, sigma, lambda] = level(step);
  return x0_from(prediction_type_, x, prediction, {alpha, sigma});
}

Tensor DpmSolver::x0(const Tensor& x, const Tensor& model_output, const Step& step) const {
  const Tensor x0 = raw_x0(x, split_output(x, model_output).prediction, step);
  return threshold_.thresholding ? dynamic_threshold(x0, threshold_) : x0;
}

DpmSolver::Converted DpmSolver::convert(const Tensor& x, const Tensor& model_output, const Step& step) const {
  const Tensor x0 = this->x0(x, model_output, step);
  if (integrand_ == Integrand::x0) return {x0, x0};
  const NoiseLevel level{this->level(step).alpha, this->level(step).sigma};
  if (threshold_.thresholding) return {x0, eps_from(PredictionType::sample, x, x0, level)};
  return {x0, eps_from(prediction_type_, x, split_output(x, model_output).prediction, level)};
}

Tensor DpmSolver::noised(const Tensor& x0, const Tensor& noise, const Step& step) const {
  return level(step).alpha * x0 + level(step).sigma * noise;
}

DpmPlan plan_steps(const std::vector<DpmLevel>& levels, int64_t begin, int64_t memory, const DpmRule& rule) {
  DpmPlan plan(levels.size() - 1);
  std::vector<size_t> past;
  for (size_t i = static_cast<size_t>(std::max<int64_t>(begin, 0)); i < plan.size(); ++i) {
    if (levels[i].lambda == levels[i + 1].lambda) continue;
    past.insert(past.begin(), i);
    if (past.size() > static_cast<size_t>(memory)) past.pop_back();
    plan[i] = rule(i, past);
  }
  return plan;
}

DpmMultistepSolver::DpmMultistepSolver(PredictionType prediction_type, const ThresholdOptions& threshold,
                                       Integrand integrand, DpmGrid grid, DpmPlan plan, bool stochastic)
    : DpmSolver(prediction_type, threshold, integrand, std::move(grid)),
      plan_(std::move(plan)),
      stochastic_(stochastic) {}

StepResult DpmMultistepSolver::step(const Tensor& x, const Tensor& model_output, const Step& step, Rng& rng) {
  const auto [x0, m] = convert(x, model_output, step);
  const Tensor noise = stochastic_ ? this->noise(x, step, rng) : Tensor();
  const auto& update = plan_[static_cast<size_t>(step.index)];
  if (!update) return {x, x0};
  outputs_.insert(outputs_.begin(), m);
  Tensor next = apply(*update, x, outputs_, noise, m.scalar_type());
  if (outputs_.size() > 2) outputs_.pop_back();  // order 3 looks back two steps
  return {std::move(next), x0};
}

DpmPredictorCorrectorSolver::DpmPredictorCorrectorSolver(PredictionType prediction_type,
                                                         const ThresholdOptions& threshold, Integrand integrand,
                                                         DpmGrid grid, DpmPlan predictors, DpmPlan correctors,
                                                         bool stochastic)
    : DpmSolver(prediction_type, threshold, integrand, std::move(grid)),
      predictors_(std::move(predictors)),
      correctors_(std::move(correctors)),
      stochastic_(stochastic) {}

StepResult DpmPredictorCorrectorSolver::step(const Tensor& predicted, const Tensor& model_output, const Step& step,
                                             Rng& rng) {
  const auto i = static_cast<size_t>(step.index);
  const auto [x0, m] = convert(predicted, model_output, step);
  outputs_.insert(outputs_.begin(), m);
  const auto dtype = predicted.scalar_type();
  const Tensor x = correctors_[i] ? apply(*correctors_[i], last_x_, outputs_, last_noise_, dtype) : predicted;
  const Tensor noise = stochastic_ ? rng.normal_like(x) : Tensor();
  if (!predictors_[i]) {  // a step of no length
    outputs_.erase(outputs_.begin());
    return {x, x0};
  }
  Tensor next = apply(*predictors_[i], x, outputs_, noise, dtype);
  if (outputs_.size() > 3) outputs_.pop_back();  // a corrector of order 4 has three besides the newest
  last_x_ = x;
  last_noise_ = noise;
  return {std::move(next), x0};
}

}  // namespace unnoise
