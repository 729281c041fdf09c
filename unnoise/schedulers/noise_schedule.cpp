#include "unnoise/schedulers/noise_schedule.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cumprod.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/sigmoid.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "unnoise/core/error.h"
#include "unnoise/nn/beside.h"
#include "unnoise/schedulers/scalar_math.h"

namespace unnoise {
namespace {

constexpr int64_t kMostTimesteps = 1'000'000;
constexpr double kLargestBeta = 0.999;

// abar as a function of t in [0,1], in double as the reference computes it.
double cosine_alpha_bar(double t) { return std::pow(std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2), 2); }
double exp_alpha_bar(double t) { return std::exp(t * -12.0); }
double laplace_alpha_bar(double t) {
  const double lambda = -0.5 * std::copysign(1.0, 0.5 - t) * std::log(1 - 2 * std::abs(0.5 - t) + 1e-6);
  const double snr = std::exp(lambda);
  return std::sqrt(snr / (1 + snr));
}

Tensor float_tensor(const std::vector<double>& values) {
  Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kFloat);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<float>());
  return out;
}

/// beta_i = 1 - abar((i+1)/T) / abar(i/T), capped; Nichol & Dhariwal 2021, section 3.2.
Tensor betas_from_alpha_bar(int64_t steps, double (*alpha_bar)(double)) {
  const auto count = static_cast<double>(steps);
  std::vector<double> betas;
  for (int64_t i = 0; i < steps; ++i) {
    const double t1 = static_cast<double>(i) / count, t2 = static_cast<double>(i + 1) / count;
    betas.push_back(std::min(1 - alpha_bar(t2) / alpha_bar(t1), kLargestBeta));
  }
  return float_tensor(betas);
}

Tensor make_betas(const NoiseOptions& o) {
  const int64_t steps = o.num_train_timesteps;
  if (o.trained_betas) {
    if (static_cast<int64_t>(o.trained_betas->size()) != steps)
      throw usage_error(fmt::format("trained_betas: expected num_train_timesteps = {} values, found {}", steps,
                                    o.trained_betas->size()));
    return float_tensor(*o.trained_betas);
  }
  switch (o.beta_schedule) {
    case BetaSchedule::linear:
      return at::linspace(o.beta_start, o.beta_end, steps, at::kFloat);
    case BetaSchedule::scaled_linear:
      return at::linspace(std::sqrt(o.beta_start), std::sqrt(o.beta_end), steps, at::kFloat).square();
    case BetaSchedule::squaredcos_cap_v2:
      return betas_from_alpha_bar(steps, cosine_alpha_bar);
    case BetaSchedule::laplace:
      return betas_from_alpha_bar(steps, laplace_alpha_bar);
    case BetaSchedule::sigmoid:
      return at::sigmoid(at::linspace(-6, 6, steps, at::kFloat)) * (o.beta_end - o.beta_start) + o.beta_start;
    case BetaSchedule::exp:
      return betas_from_alpha_bar(steps, exp_alpha_bar);
  }
  throw usage_error("beta_schedule: unknown value");
}

/// Shifts and scales sqrt(abar) so that its last value is 0 and its first stays; Lin et al. 2023, "Common Diffusion
/// Noise Schedules and Sample Steps are Flawed", algorithm 1.
Tensor rescale_to_zero_terminal_snr(const Tensor& betas) {
  Tensor root = at::cumprod(1.0 - betas, 0).sqrt();
  const Tensor first = root[0].clone(), last = root[-1].clone();
  root -= last;
  root *= first / (first - last);
  const Tensor alpha_bar = root.square();
  const Tensor alphas = at::cat({alpha_bar.slice(0, 0, 1), alpha_bar.slice(0, 1) / alpha_bar.slice(0, 0, -1)});
  return 1 - alphas;
}

void check_betas(const Tensor& betas, const NoiseOptions& o) {
  const float* beta = betas.const_data_ptr<float>();
  for (int64_t i = 0; i < betas.numel(); ++i) {
    if (beta[i] > 0 && beta[i] <= 1) continue;
    const auto where = o.trained_betas ? "trained_betas" : "beta_start, beta_end";
    throw usage_error(fmt::format("{}: beta at timestep {} is {}, expected above 0 and at most 1", where, i, beta[i]),
                      "A beta of 0 makes the reverse step divide by zero; start at 1e-6 or above.");
  }
}

}  // namespace

NoiseSchedule::NoiseSchedule(const NoiseOptions& options) : options_(options) {
  const int64_t steps = options.num_train_timesteps;
  if (steps < 1 || steps > kMostTimesteps)
    throw usage_error(fmt::format("num_train_timesteps: expected 1 to {}, found {}", kMostTimesteps, steps));
  if (options.rescale_betas_zero_snr && steps < 2)
    throw usage_error("rescale_betas_zero_snr: needs at least 2 training timesteps, found 1");
  betas_ = make_betas(options);
  check_betas(betas_, options);
  if (options.rescale_betas_zero_snr) betas_ = rescale_to_zero_terminal_snr(betas_);
  alphas_ = 1.0 - betas_;
  alphas_cumprod_ =
      at::cumprod(alphas_, 0);  // float32 and sequential, as the reference's: checkpoints were trained on it
  alpha_levels_ = alphas_cumprod_.sqrt();
  sigma_levels_ = (1 - alphas_cumprod_).sqrt_();
}

float NoiseSchedule::alpha_bar(int64_t t) const {
  if (t < 0 || t >= num_train_timesteps())
    throw usage_error(fmt::format("timestep {}: expected 0 to {}", t, num_train_timesteps() - 1));
  return alphas_cumprod_.const_data_ptr<float>()[t];
}

NoiseLevel NoiseSchedule::level(int64_t t) const {
  alpha_bar(t);  // checks t
  return {alpha_levels_.const_data_ptr<float>()[t], sigma_levels_.const_data_ptr<float>()[t]};
}

NoiseLevels NoiseSchedule::levels(const Tensor& t, const Tensor& x) const {
  const Tensor table = alphas_cumprod_.to(x.options());
  const Tensor abar = beside(table.index_select(0, t.flatten().to(x.device())), x);
  return {abar.sqrt(), (1 - abar).sqrt()};
}

Tensor NoiseSchedule::add_noise(const Tensor& x0, const Tensor& eps, const Tensor& t) const {
  const auto [alpha, sigma] = levels(t, x0);
  return alpha * x0 + sigma * eps;
}

Tensor NoiseSchedule::velocity(const Tensor& x0, const Tensor& eps, const Tensor& t) const {
  const auto [alpha, sigma] = levels(t, x0);
  return alpha * eps - sigma * x0;
}

Tensor NoiseSchedule::snr(const Tensor& t) const {
  const Tensor abar = alphas_cumprod_.to(t.device()).index_select(0, t.flatten()).reshape(t.sizes());
  return abar / (1 - abar);
}

Tensor NoiseSchedule::target(PredictionType type, const Tensor& x0, const Tensor& eps, const Tensor& t) const {
  switch (type) {
    case PredictionType::epsilon:
      return eps;
    case PredictionType::sample:
      return x0;
    case PredictionType::v_prediction:
      return velocity(x0, eps, t);
    case PredictionType::flow_prediction:
      return eps - x0;
  }
  throw usage_error("prediction_type: unknown value");
}

Tensor NoiseSchedule::x0_from(PredictionType type, const Tensor& xt, const Tensor& output, const Tensor& t) const {
  return unnoise::x0_from(type, xt, output, levels(t, xt));
}

Tensor NoiseSchedule::eps_from(PredictionType type, const Tensor& xt, const Tensor& output, const Tensor& t) const {
  return unnoise::eps_from(type, xt, output, levels(t, xt));
}

}  // namespace unnoise
