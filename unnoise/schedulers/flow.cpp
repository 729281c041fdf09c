#include "unnoise/schedulers/flow.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

double shifted(double s, double shift) { return shift * s / (1 + (shift - 1) * s); }

/// Esser et al. 2024, "Scaling Rectified Flow Transformers", eq. 23; with mu, Black Forest Labs' FLUX.
double shifted_by_config(double s, const FlowConfig& config, const StartOptions& options) {
  if (!config.use_dynamic_shifting) return shifted(s, config.shift);
  const double weight = config.time_shift_type == TimeShiftType::exponential ? std::exp(*options.mu) : *options.mu;
  return weight / (weight + (1 / s - 1));
}

void check_mu(std::string_view class_name, const FlowConfig& config, const StartOptions& options) {
  if (!config.use_dynamic_shifting) return;
  if (!options.mu)
    throw usage_error(fmt::format("{}: mu: use_dynamic_shifting needs it", class_name),
                      "Pipelines compute it from the picture's size: base_shift (0.5) to max_shift (1.15).");
  const bool linear = config.time_shift_type == TimeShiftType::linear;
  if (!(std::abs(*options.mu) <= 80) || (linear && *options.mu <= 0))
    throw usage_error(
        fmt::format("{}: mu: expected {} to 80, found {}", class_name, linear ? "above 0" : "-80", *options.mu));
}

void check_steps(int64_t steps) {
  if (steps < 1) throw usage_error(fmt::format("number of sampling steps: expected at least 1, found {}", steps));
  if (steps > 1'000'000)
    throw usage_error(fmt::format("number of sampling steps: expected at most 1000000, found {}", steps));
}

/// A list of the user's: in (0, most], falling.
void check_list(const char* what, const std::vector<double>& values, double most) {
  if (values.empty()) throw usage_error(fmt::format("custom {}: the list is empty", what));
  for (size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] > 0 && values[i] <= most))
      throw usage_error(
          fmt::format("custom {}: expected numbers above 0 and at most {}, found {}", what, most, values[i]));
    if (i > 0 && values[i] >= values[i - 1])
      throw usage_error(
          fmt::format("custom {}: expected a falling list, found {} after {}", what, values[i], values[i - 1]),
          "Give them from the noisiest to the cleanest.");
  }
}

/// A last 0 says where the run ends, which it does anyway.
std::vector<double> without_final_zero(std::vector<double> values) {
  if (values.size() > 1 && values.back() == 0) values.pop_back();
  return values;
}

/// From s at timestep T to s at timestep 1, both shifted; the grid is then shifted once more. So was Stable Diffusion 3
/// published, and diffusers' pictures depend on it.
std::vector<double> spaced_sigmas(const FlowConfig& config, int64_t steps) {
  check_steps(steps);
  const auto train = static_cast<double>(config.num_train_timesteps);
  const auto end = [&](double t) {  // diffusers' table is float32
    const double s = config.use_dynamic_shifting ? t / train : shifted(t / train, config.shift);
    return static_cast<double>(static_cast<float>(s));
  };
  auto sigmas = linspace(end(train) * train, end(1) * train, steps);
  for (double& s : sigmas) s /= train;
  return sigmas;
}

/// Lightricks' LTX-Video: 1 - s grows by a factor, so that the last s is `terminal`.
void stretch(std::vector<double>& sigmas, double terminal) {
  const double factor = (1 - sigmas.back()) / (1 - terminal);
  if (factor <= 0) return;  // one step, at s = 1
  for (double& s : sigmas) s = 1 - (1 - s) / factor;
}

std::vector<double> spaced_anew(std::string_view class_name, const FlowConfig& config, std::vector<double> sigmas) {
  const auto grid = one_grid(class_name, config);
  const double low = sigmas.back(), high = sigmas.front();
  const auto n = static_cast<int64_t>(sigmas.size());
  if (grid == "use_karras_sigmas") return karras_sigmas(low, high, n);
  if (grid == "use_exponential_sigmas") return exponential_sigmas(low, high, n);
  if (grid == "use_beta_sigmas") return beta_sigmas(low, high, n);
  return sigmas;
}

}  // namespace

void check_flow(std::string_view class_name, const FlowConfig& config) {
  if (config.num_train_timesteps < 1)
    throw usage_error(
        fmt::format("{}: num_train_timesteps: expected at least 1, found {}", class_name, config.num_train_timesteps));
  if (!(config.shift > 0 && config.shift <= 1e6))
    throw usage_error(
        fmt::format("{}: shift: expected above 0 and at most 1000000, found {}", class_name, config.shift));
  if (config.shift_terminal && !(*config.shift_terminal >= 0 && *config.shift_terminal < 1))
    throw usage_error(
        fmt::format("{}: shift_terminal: expected 0 to below 1, found {}", class_name, *config.shift_terminal));
  one_grid(class_name, config);
}

FlowGrid flow_grid(std::string_view class_name, const FlowConfig& config, const StartOptions& options) {
  check_mu(class_name, config, options);
  const auto train = static_cast<double>(config.num_train_timesteps);
  std::vector<double> sigmas;
  if (options.timesteps) {
    sigmas = without_final_zero(*options.timesteps);
    check_list("timesteps", sigmas, train);
    for (double& t : sigmas) t /= train;
  } else if (options.sigmas) {
    sigmas = without_final_zero(*options.sigmas);
    check_list("sigmas", sigmas, 1);
  } else {
    sigmas = spaced_sigmas(config, options.steps);
  }

  for (double& s : sigmas) s = shifted_by_config(s, config, options);
  if (config.shift_terminal.value_or(0) > 0) stretch(sigmas, *config.shift_terminal);
  sigmas = spaced_anew(class_name, config, std::move(sigmas));

  FlowGrid grid;
  for (size_t i = 0; i < sigmas.size(); ++i) {
    const auto s = static_cast<float>(sigmas[i]);
    grid.sigmas.push_back(config.invert_sigmas ? 1 - s : s);
    const bool as_given = options.timesteps && !config.invert_sigmas;
    grid.timesteps.push_back(as_given ? static_cast<float>((*options.timesteps)[i])
                                      : grid.sigmas.back() * static_cast<float>(train));
  }
  grid.sigmas.push_back(config.invert_sigmas ? 1 : 0);
  return grid;
}

Tensor widened(const Tensor& x) {
  const bool wide = x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble;
  return wide ? x : x.to(at::kFloat);
}

Tensor FlowSolver::x0(const Tensor& x, const Tensor& model_output, const Step& step) const {
  const float share = noise_share(sigma(step));
  return at::add(widened(x), model_output, inverted_ ? share : -share);
}

Tensor FlowSolver::mixed(const Tensor& x0, const Tensor& noise, float sigma) const {
  const float share = noise_share(sigma);
  return ((1 - share) * x0).add_(noise, share);
}

Tensor FlowSolver::noised(const Tensor& x0, const Tensor& noise, const Step& step) const {
  return mixed(x0, noise, sigma(step));
}

}  // namespace unnoise
