#include "unnoise/schedulers/adaptive.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

/// The picture of its own size plus noise of sigma, seen as sqrt(abar) x0 + sqrt(1 - abar) eps.
NoiseLevel level_of(double sigma) {
  const double alpha = 1 / std::sqrt(1 + sigma * sigma);
  return {static_cast<float>(alpha), static_cast<float>(sigma * alpha)};
}

}  // namespace

void check_config(std::string_view class_name, const AdaptiveConfig& config, const SigmaTable& table) {
  check_prediction_type(class_name, config.prediction_type,
                        {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction});
  const double low = config.sigma_min.value_or(table.sigmas().front());
  const double high = config.sigma_max.value_or(table.sigmas().back());
  if (!(low > 0 && low < high && std::isfinite(high)))
    throw usage_error(fmt::format("{}: expected 0 < sigma_min < sigma_max, found {} and {}", class_name, low, high));
}

AdaptiveSolver::AdaptiveSolver(const AdaptiveConfig& config, SigmaTable table)
    : prediction_type_(config.prediction_type),
      table_(std::move(table)),
      sigma_min_(config.sigma_min.value_or(table_.sigmas().front())),
      sigma_max_(config.sigma_max.value_or(table_.sigmas().back())),
      sigma_(sigma_max_) {}

double AdaptiveSolver::first_tau() const { return std::log(sigma_max_); }
double AdaptiveSolver::last_tau() const { return std::log(sigma_min_); }

Tensor AdaptiveSolver::input(const Tensor& x, const Step&) const { return x * level_of(sigma_).alpha; }

Tensor AdaptiveSolver::denoised(const Tensor& y, const Tensor& model_output) const {
  const NoiseLevel level = level_of(sigma_);
  return x0_from(prediction_type_, y * level.alpha, split_output(y, model_output).prediction, level);
}

Tensor AdaptiveSolver::x0(const Tensor& x, const Tensor& model_output, const Step&) const {
  return denoised(x, model_output);
}

Tensor AdaptiveSolver::noised(const Tensor& x0, const Tensor& noise, const Step&) const { return x0 + sigma_ * noise; }

StepResult AdaptiveSolver::step(const Tensor& x, const Tensor& model_output, const Step&, Rng&) {
  const Tensor x0 = denoised(x, model_output);
  const auto next = advance(x, x0);
  if (!next) {
    is_done_ = true;
    return {x0, x0};  // from sigma_min to 0 in one step: the predicted picture
  }
  sigma_ = std::exp(next->tau);
  return {next->y, x0};
}

std::vector<Tensor> AdaptiveSolver::first_timestep() const {
  return timestep_tensors(std::vector<float>{static_cast<float>(table_.timestep(sigma_max_))});
}

std::optional<Tensor> AdaptiveSolver::next_timestep() {
  if (is_done_) return std::nullopt;
  return at::scalar_tensor(static_cast<float>(table_.timestep(sigma_)), at::kFloat);
}

}  // namespace unnoise
