#include "unnoise/recipes/schedule_table.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/sigma_grids.h"

namespace unnoise {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr auto kVariancePreserving = "x_t = sqrt(abar) x0 + sqrt(1-abar) eps  (Ho et al. 2020, eq. 4)";
constexpr auto kVarianceExploding = "x_t = x0 + sigma eps, here over sqrt(sigma^2 + 1)  (Karras et al. 2022)";
constexpr auto kFlow = "x_t = (1-sigma) x0 + sigma eps  (Lipman et al. 2023)";

SchedulePoint point_of_abar(double timestep, double beta, float abar) {
  const double alpha = std::sqrt(static_cast<double>(abar)), noise = std::sqrt(1 - static_cast<double>(abar));
  return {timestep, beta, alpha, noise, noise / alpha};
}

/// A level of noise over a picture of its own size.
SchedulePoint point_of_sigma(double timestep, double sigma) {
  const double norm = std::hypot(1.0, sigma);
  return {timestep, kNaN, 1 / norm, std::isinf(sigma) ? 1.0 : sigma / norm, sigma};
}

/// At whole timesteps the table itself, for it may reach abar = 0; between them linear in sigma, as k-diffusion's
/// methods do.
SchedulePoint point_of_table(double timestep, const NoiseSchedule& noise, const SigmaTable& sigmas) {
  const bool is_whole =
      timestep == std::floor(timestep) && timestep >= 0 && timestep < static_cast<double>(noise.num_train_timesteps());
  if (!is_whole) return point_of_sigma(timestep, sigmas.sigma(timestep));
  return point_of_abar(timestep, kNaN, noise.alpha_bar(static_cast<int64_t>(timestep)));
}

/// Where neither a table nor sigmas say it: what becomes of a picture of ones without noise, and of noise alone.
SchedulePoint measured_point(const Scheduler& scheduler, StartOptions start, const Step& step) {
  const double timestep = timestep_number(step);
  try {
    start.begin = step.index;
    const Run run = scheduler.start(start);
    const Tensor one = at::ones({1, 1, 1, 1}), zero = at::zeros({1, 1, 1, 1});
    const double alpha = std::max(run.noised(one, zero).item<double>(), 0.0);  // cos(pi/2) is -4e-8 in float32
    const double noise = run.noised(zero, one).item<double>();
    const double norm = std::hypot(alpha, noise);
    return {timestep, kNaN, alpha / norm, noise / norm, noise / alpha};
  } catch (const Error&) {  // no such way back to a picture
    return {timestep, kNaN, kNaN, kNaN, kNaN};
  }
}

bool is_flow(const Scheduler& scheduler) { return scheduler.prediction_type == PredictionType::flow_prediction; }

/// The sigma of each call as far as Run::sigmas() tells: one a call, or, where calls share one, one for several. NaN
/// for a call between two sigmas (second-order methods list the later one for it, but tell the network another
/// timestep).
std::vector<double> sigmas_of_calls(const Run& run, const std::vector<double>& sigmas) {
  const size_t calls = run.steps().size(), count = sigmas.size();
  std::vector<double> out(calls, kNaN);
  const bool one_a_call = count == calls || count == calls + 1;
  const size_t share = one_a_call ? 1 : count > 0 && calls % count == 0 ? calls / count : 0;
  if (share == 0) return out;
  for (size_t i = 0; i < calls; ++i) {
    const bool between = share == 1 && i + 1 < calls && sigmas[i] == sigmas[i + 1] &&
                         timestep_number(run.steps()[i]) != timestep_number(run.steps()[i + 1]);
    if (!between) out[i] = sigmas[i / share];
  }
  return out;
}

ScheduleTable empty_table(const NamedSchedule& schedule) {
  return {.name = schedule.name,
          .class_name = schedule.scheduler->class_name(),
          .num_train_timesteps = schedule.scheduler->num_train_timesteps(),
          .path = "",
          .points = {}};
}

}  // namespace

double SchedulePoint::value(ScheduleCurve curve) const {
  switch (curve) {
    case ScheduleCurve::sqrt_alphas_cumprod:
      return alpha;
    case ScheduleCurve::sqrt_one_minus_alphas_cumprod:
      return noise;
    case ScheduleCurve::log_snr:
      return 2 * (std::log(alpha) - std::log(noise));
    case ScheduleCurve::sigmas:
      return sigma;
    case ScheduleCurve::alphas_cumprod:
      return alpha * alpha;
    case ScheduleCurve::betas:
      return beta;
  }
  return kNaN;
}

std::vector<double> ScheduleTable::values(ScheduleCurve curve) const {
  std::vector<double> out;
  for (const auto& point : points) out.push_back(point.value(curve));
  return out;
}

std::vector<double> ScheduleTable::timesteps() const {
  std::vector<double> out;
  for (const auto& point : points) out.push_back(point.timestep);
  return out;
}

ScheduleTable training_table(const NamedSchedule& schedule) {
  const NoiseSchedule& noise = schedule.scheduler->noise();
  ScheduleTable table = empty_table(schedule);
  table.path = kVariancePreserving;
  const float* beta = noise.betas().const_data_ptr<float>();
  for (int64_t t = 0; t < noise.num_train_timesteps(); ++t)
    table.points.push_back(point_of_abar(static_cast<double>(t), beta[t], noise.alpha_bar(t)));
  return table;
}

ScheduleTable run_table(const NamedSchedule& schedule, const StartOptions& start) {
  const Scheduler& scheduler = *schedule.scheduler;
  const Run run = scheduler.start(start);
  ScheduleTable table = empty_table(schedule);
  table.steps = start.steps;
  table.adaptive = run.is_adaptive();
  const auto sigmas = run.sigmas(), of_calls = sigmas_of_calls(run, sigmas);
  if (is_flow(scheduler))
    table.path = kFlow;
  else if (scheduler.has_noise())
    table.path = kVariancePreserving;
  else if (!sigmas.empty())
    table.path = kVarianceExploding;

  std::optional<SigmaTable> of_betas;
  if (scheduler.has_noise() && !is_flow(scheduler)) of_betas.emplace(scheduler.noise());
  for (size_t i = 0; i < of_calls.size(); ++i) {
    const Step& step = run.steps()[i];
    const double timestep = timestep_number(step), sigma = of_calls[i];
    if (!std::isnan(sigma))
      table.points.push_back(is_flow(scheduler) ? SchedulePoint{timestep, kNaN, 1 - sigma, sigma, sigma}
                                                : point_of_sigma(timestep, sigma));
    else if (of_betas)
      table.points.push_back(point_of_table(timestep, scheduler.noise(), *of_betas));
    else
      table.points.push_back(measured_point(scheduler, start, step));
  }
  if (sigmas.size() == of_calls.size() + 1) table.final_sigma = sigmas.back();
  return table;
}

double timestep_number(const Step& step) { return step.timestep.item<double>(); }

}  // namespace unnoise
