#include "unnoise/schedulers/sigma_solver.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/lerp.h>
#include <ATen/ops/sub.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/scalar_math.h"

namespace unnoise {
namespace {

constexpr int64_t kMostSteps = 1'000'000;

std::vector<double> spaced(const SigmaConfig& config, int64_t steps) {
  const int64_t train = config.num_train_timesteps;
  const bool is_real = config.timestep_spacing == TimestepSpacing::linspace && steps >= 1 && (train > 1 || steps == 1);
  if (!is_real) {
    const auto whole = spaced_timesteps(config, steps, train);
    return {whole.begin(), whole.end()};
  }
  if (steps > kMostSteps)
    throw usage_error(fmt::format("number of sampling steps: expected at most {}, found {}", kMostSteps, steps));
  auto timesteps = linspace(0, static_cast<double>(train - 1), steps);
  std::reverse(timesteps.begin(), timesteps.end());
  return timesteps;
}

std::vector<double> checked_timesteps(const std::vector<double>& timesteps, int64_t train) {
  if (timesteps.empty()) throw usage_error("custom timesteps: the list is empty");
  const auto last = static_cast<double>(train - 1);
  for (size_t i = 0; i < timesteps.size(); ++i) {
    if (!(timesteps[i] >= 0 && timesteps[i] <= last))
      throw usage_error(fmt::format("custom timesteps: expected 0 to {}, found {}", last, timesteps[i]));
    if (i > 0 && timesteps[i] >= timesteps[i - 1])
      throw usage_error(
          fmt::format("custom timesteps: expected a falling list, found {} after {}", timesteps[i], timesteps[i - 1]),
          "Give them from the noisiest to the cleanest.");
  }
  return timesteps;
}

}  // namespace

void check_config(std::string_view class_name, const SigmaConfig& config, const SigmaTable& table) {
  check_prediction_type(class_name, config.prediction_type,
                        {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction});
  one_grid(class_name, config);
  if (config.steps_offset < 0)
    throw usage_error(fmt::format("{}: steps_offset: expected 0 or more, found {}", class_name, config.steps_offset));
  if (!std::isfinite(table.sigmas().back()))
    throw usage_error(fmt::format("{}: the betas make the last timestep pure noise (alphas_cumprod 0), whose sigma is "
                                  "infinite",
                                  class_name),
                      "Set rescale_betas_zero_snr where the class has it, or use smaller betas.");
}

std::vector<double> sigma_timesteps(const SigmaConfig& config, const StartOptions& options) {
  if (!options.timesteps) return spaced(config, options.steps);
  if (const auto grid = one_grid("", config); !grid.empty())
    throw usage_error(fmt::format("timesteps: {} chooses its own", grid), "Give sigmas, or turn it off.");
  return checked_timesteps(*options.timesteps, config.num_train_timesteps);
}

std::vector<double> checked_sigmas(const std::vector<double>& sigmas) {
  if (sigmas.size() < 2)
    throw usage_error(fmt::format(
        "custom sigmas: expected at least 2 (the last, often 0, is where the steps lead), found {}", sigmas.size()));
  for (size_t i = 0; i < sigmas.size(); ++i) {
    const bool is_last = i + 1 == sigmas.size();
    if (!std::isfinite(sigmas[i]) || !(is_last ? sigmas[i] >= 0 : sigmas[i] > 0))
      throw usage_error(fmt::format("custom sigmas: expected numbers above 0, found {}", sigmas[i]),
                        "Only the last may be 0.");
    if (i > 0 && sigmas[i] >= sigmas[i - 1])
      throw usage_error(
          fmt::format("custom sigmas: expected a falling list, found {} after {}", sigmas[i], sigmas[i - 1]),
          "Give them from the noisiest to the cleanest.");
  }
  return rounded_to_float(sigmas);
}

std::vector<double> rounded_to_float(std::vector<double> values) {
  for (double& value : values) value = static_cast<float>(value);
  return values;
}

SigmaGrid sigma_grid(const SigmaConfig& config, const SigmaTable& table, std::vector<double> timesteps) {
  std::vector<double> sigmas;
  for (const double t : timesteps) sigmas.push_back(table.sigma(t));
  if (one_grid("", config).empty()) return {std::move(timesteps), std::move(sigmas)};
  return converted_grid(config, table, {sigmas.back(), sigmas.front()}, static_cast<int64_t>(sigmas.size()));
}

SigmaGrid converted_grid(const SigmaConfig& config, const SigmaTable& table, SigmaRange range, int64_t n, double rho) {
  const auto [min, max] = range;
  if (!(min > 0 && min <= max && std::isfinite(max)))
    throw usage_error(
        fmt::format("noise levels: expected sigma_min above 0 and up to sigma_max, found {} and {}", min, max));
  SigmaGrid grid;
  grid.sigmas = config.use_karras_sigmas        ? karras_sigmas(min, max, n, rho)
                : config.use_exponential_sigmas ? exponential_sigmas(min, max, n)
                                                : beta_sigmas(min, max, n);
  for (const double sigma : grid.sigmas) grid.timesteps.push_back(table.timestep(sigma));
  return grid;
}

std::vector<float> with_last(const std::vector<double>& sigmas, double last) {
  std::vector<float> out(sigmas.begin(), sigmas.end());
  out.push_back(static_cast<float>(last));
  return out;
}

double init_noise_sigma(TimestepSpacing spacing, const std::vector<float>& sigmas) {
  const float highest = *std::max_element(sigmas.begin(), sigmas.end());
  return spacing == TimestepSpacing::leading ? torch_sqrt(highest * highest + 1) : highest;
}

SigmaSolver::SigmaSolver(PredictionType prediction_type, std::vector<float> levels, std::vector<float> sigmas)
    : prediction_type_(prediction_type), levels_(std::move(levels)), sigmas_(std::move(sigmas)) {
  for (const float sigma : levels_) input_scale_.push_back(torch_sqrt(sigma * sigma + 1));
}

SigmaSolver::SigmaSolver(PredictionType prediction_type, std::vector<float> sigmas)
    : SigmaSolver(prediction_type, {sigmas.begin(), sigmas.end() - 1}, sigmas) {}

Tensor SigmaSolver::input(const Tensor& x, const Step& step) const {
  return x / input_scale_[static_cast<size_t>(step.index)];
}

Tensor SigmaSolver::x0(const Tensor& x, const Tensor& model_output, const Step& step) const {
  return denoised(x, model_output, step, level(step));
}

Tensor SigmaSolver::noised(const Tensor& x0, const Tensor& noise, const Step& step) const {
  return at::add(x0, noise, level(step));
}

// The formulas of prediction.h at alpha = 1 / sqrt(sigma^2 + 1), with x / alpha for x_t.
Tensor SigmaSolver::denoised(const Tensor& x, const Tensor& model_output, const Step& step, float sigma) const {
  const Tensor output = split_output(x, model_output).prediction;
  Tensor x0;
  switch (prediction_type_) {
    case PredictionType::epsilon:
      x0 = at::sub(x, output, sigma);
      break;
    case PredictionType::v_prediction: {
      const float seen = level(step);
      x0 = at::add(x / (seen * seen + 1), output, -seen / input_scale_[static_cast<size_t>(step.index)]);
      break;
    }
    default:
      x0 = output;
  }
  return x0.scalar_type() == x.scalar_type() ? x0 : x0.to(x.scalar_type());
}

Tensor toward(const Tensor& x, const Tensor& x0, double sigma, double sigma_next) {
  return at::lerp(x, x0, sigma > 0 ? (sigma - sigma_next) / sigma : 1.0);
}

// Song, Meng & Ermon 2021, eq. 16, in sigma
AncestralStep ancestral_step(float sigma, float sigma_next, double eta) {
  const double from = sigma, to = sigma_next;
  if (to >= from || eta == 0) return {sigma_next, 0};
  // What diffusers computes in float32 cancels where the step is long, and its pictures depend on what is left.
  const float up1 = torch_sqrt(sigma_next * sigma_next * (sigma * sigma - sigma_next * sigma_next) / (sigma * sigma));
  const float down1 = torch_sqrt(std::max(sigma_next * sigma_next - up1 * up1, 0.0f));
  if (eta == 1 && (down1 > 0 || to == 0)) return {down1, std::min(up1, sigma_next)};
  const double ratio2 = (to / from) * (to / from), eta2 = eta * eta;
  const double up = eta * to * std::sqrt(1 - ratio2), down = to * std::sqrt(std::max(1 - eta2 + eta2 * ratio2, 0.0));
  return {static_cast<float>(down), static_cast<float>(up)};
}

}  // namespace unnoise
