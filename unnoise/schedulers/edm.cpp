#include "unnoise/schedulers/edm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/solver.h"
#include "unnoise/schedulers/weighted_sum.h"

namespace unnoise {
namespace {

std::vector<float> as_floats(const Tensor& values) {
  const Tensor flat = values.to(at::kFloat).contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

}  // namespace

void check_config(std::string_view class_name, const EdmConfig& config) {
  check_prediction_type(class_name, config.prediction_type, {PredictionType::epsilon, PredictionType::v_prediction});
  for (const auto& [key, value] : {std::pair{"sigma_min", config.sigma_min},
                                   {"sigma_max", config.sigma_max},
                                   {"sigma_data", config.sigma_data},
                                   {"rho", config.rho}})
    if (!(value > 0 && value < 1e15))
      throw usage_error(fmt::format("{}: {}: expected above 0, found {}", class_name, key, value));
  if (config.sigma_min > config.sigma_max)
    throw usage_error(
        fmt::format("{}: sigma_min {} is above sigma_max {}", class_name, config.sigma_min, config.sigma_max));
  if (config.num_train_timesteps < 1)
    throw usage_error(
        fmt::format("{}: num_train_timesteps: expected at least 1, found {}", class_name, config.num_train_timesteps));
}

std::vector<float> edm_sigmas(const EdmConfig& config, int64_t n, bool wide) {
  if (n < 1) throw usage_error(fmt::format("number of sampling steps: expected at least 1, found {}", n));
  if (config.sigma_schedule == EdmSchedule::exponential)
    return as_floats(at::linspace(std::log(config.sigma_min), std::log(config.sigma_max), n, at::kFloat).exp().flip(0));
  const Tensor ramp = at::linspace(0, 1, n, wide ? at::kDouble : at::kFloat);
  const double low = std::pow(config.sigma_min, 1 / config.rho), high = std::pow(config.sigma_max, 1 / config.rho);
  return as_floats(at::pow(high + ramp * (low - high), config.rho));
}

DpmGrid edm_grid(std::vector<float> sigmas, float final_sigma) {
  DpmGrid grid{{}, std::move(sigmas), {}};
  grid.sigmas.push_back(final_sigma);
  for (const float sigma : grid.sigmas) grid.levels.push_back({1, sigma, -torch_log(sigma)});
  return grid;
}

std::vector<Tensor> edm_timesteps(const std::vector<float>& sigmas) {
  return (0.25 * at::tensor(sigmas).log()).unbind(0);
}

double edm_init_noise_sigma(const EdmConfig& config) { return std::sqrt(config.sigma_max * config.sigma_max + 1); }

EdmScale edm_scale(const EdmConfig& config, float sigma) {
  const auto data = static_cast<float>(config.sigma_data);
  const auto data2 = static_cast<float>(config.sigma_data * config.sigma_data);
  const float sum = sigma * sigma + data2, root = torch_sqrt(sum);
  const float c_out = sigma * data / root;
  return {1 / root, 1 / sum * data2, config.prediction_type == PredictionType::epsilon ? c_out : -c_out};
}

std::vector<EdmScale> edm_scales(const EdmConfig& config, const std::vector<float>& sigmas) {
  std::vector<EdmScale> scales;
  for (const float sigma : sigmas) scales.push_back(edm_scale(config, sigma));
  return scales;
}

Tensor EdmScale::x0(const Tensor& x, const Tensor& output) const { return weighted_sum(c_skip, x, c_out, output); }

}  // namespace unnoise
