#include "unnoise/schedulers/solver.h"

#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "unnoise/core/error.h"

namespace unnoise {

Json public_config(std::string_view class_name, const Json& json) {
  if (json.is_null()) return Json::object();
  if (!json.is_object())
    throw usage_error(fmt::format("{} config: expected a JSON object, found {}", class_name, json.dump()));
  Json out = Json::object();
  for (const auto& [key, value] : json.items())
    if (!key.starts_with('_')) out[key] = value;
  return out;
}

void check_prediction_type(std::string_view class_name, PredictionType type,
                           std::initializer_list<PredictionType> allowed) {
  if (std::find(allowed.begin(), allowed.end(), type) != allowed.end()) return;
  std::vector<std::string_view> names;
  for (const auto one : allowed) names.push_back(enum_name(one));
  throw usage_error(
      fmt::format("{}: prediction_type: \"{}\" is not one of {}", class_name, enum_name(type), fmt::join(names, ", ")));
}

std::vector<int64_t> choose_timesteps(const StartOptions& options, const GridOptions& grid,
                                      int64_t num_train_timesteps) {
  if (!options.timesteps) return spaced_timesteps(grid, options.steps, num_train_timesteps);
  return whole_timesteps(*options.timesteps, num_train_timesteps);
}

namespace {

template <class T>
std::vector<Tensor> scalar_tensors(const std::vector<T>& values, at::ScalarType type) {
  std::vector<Tensor> out;
  for (const T value : values) out.push_back(at::scalar_tensor(value, type));
  return out;
}

}  // namespace

std::vector<Tensor> timestep_tensors(const std::vector<int64_t>& timesteps) {
  return scalar_tensors(timesteps, at::kLong);
}
std::vector<Tensor> timestep_tensors(const std::vector<float>& timesteps) {
  return scalar_tensors(timesteps, at::kFloat);
}
std::vector<Tensor> timestep_tensors(const std::vector<double>& timesteps) {
  return scalar_tensors(timesteps, at::kDouble);
}

SplitOutput split_output(const Tensor& x, const Tensor& model_output) {
  if (model_output.sizes() == x.sizes()) return {model_output, {}};
  Shape doubled = x.sizes().vec();
  if (doubled.size() > 1) doubled[1] *= 2;
  if (x.dim() > 1 && model_output.sizes() == doubled)
    return {model_output.narrow(1, 0, x.size(1)), model_output.narrow(1, x.size(1), x.size(1))};
  throw usage_error(fmt::format("network output: expected shape [{}] (or twice the channels), found [{}]",
                                fmt::join(x.sizes(), ","), fmt::join(model_output.sizes(), ",")));
}

}  // namespace unnoise
