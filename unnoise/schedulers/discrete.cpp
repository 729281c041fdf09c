#include "unnoise/schedulers/discrete.h"

#include <fmt/format.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/scalar_math.h"

namespace unnoise {

void check_config(std::string_view class_name, const DiscreteConfig& config) {
  check_prediction_type(class_name, config.prediction_type,
                        {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction});
  check_limits(config, config);
}

NoiseLevel level_of(float abar) { return {torch_sqrt(abar), torch_sqrt(1 - abar)}; }

void refuse_pure_noise(const DiscreteConfig& config, const NoiseSchedule& noise, const std::vector<int64_t>& timesteps,
                       int64_t begin) {
  const bool unlimited = !config.clip_sample && !config.thresholding;
  if (config.prediction_type != PredictionType::epsilon || !unlimited) return;
  for (auto i = static_cast<size_t>(std::max<int64_t>(begin, 0)); i < timesteps.size(); ++i)
    if (noise.alpha_bar(timesteps[i]) == 0)
      throw usage_error(
          fmt::format("timestep {} is pure noise (rescale_betas_zero_snr), and a network that predicts eps cannot "
                      "tell the picture from it",
                      timesteps[i]),
          "Use a v_prediction model, the \"leading\" spacing with fewer steps, or clip_sample.");
}

DiscreteSolver::DiscreteSolver(const DiscreteConfig& config, NoiseSchedule noise, std::vector<int64_t> timesteps)
    : config_(config), noise_(std::move(noise)), timesteps_(std::move(timesteps)) {}

int64_t DiscreteSolver::next_t(const Step& step) const {
  const auto next = static_cast<size_t>(step.index) + 1;
  return next < timesteps_.size() ? timesteps_[next] : -1;
}

Tensor DiscreteSolver::raw_x0(const Tensor& x, const Tensor& prediction, const Step& step) const {
  return x0_from(config_.prediction_type, x, prediction, noise_.level(t(step)));
}

Tensor DiscreteSolver::x0(const Tensor& x, const Tensor& model_output, const Step& step) const {
  return limited(raw_x0(x, split_output(x, model_output).prediction, step));
}

Tensor DiscreteSolver::noised(const Tensor& x0, const Tensor& noise, const Step& step) const {
  return noise_.add_noise(x0, noise, step.timestep);
}

}  // namespace unnoise
