#include "unnoise/recipes/schedule_table.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

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

bool is_flow(const Scheduler& scheduler) { return scheduler.prediction_type == PredictionType::flow_prediction; }

ScheduleTable empty_table(const NamedSchedule& schedule) {
  const Scheduler& scheduler = *schedule.scheduler;
  return {.name = schedule.name,
          .class_name = scheduler.class_name(),
          .num_train_timesteps = scheduler.num_train_timesteps(),
          .path = is_flow(scheduler)      ? kFlow
                  : scheduler.has_noise() ? kVariancePreserving
                                          : kVarianceExploding,
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
  const auto sigmas = run.sigmas();
  const std::optional<SigmaTable> of_betas =
      scheduler.has_noise() ? std::optional<SigmaTable>(scheduler.noise()) : std::nullopt;
  for (const Step& step : run.steps()) {
    const double timestep = timestep_number(step);
    const auto i = static_cast<size_t>(step.index);
    if (is_flow(scheduler) && i < sigmas.size())
      table.points.push_back({timestep, kNaN, 1 - sigmas[i], sigmas[i], sigmas[i]});
    else if (i < sigmas.size())
      table.points.push_back(point_of_sigma(timestep, sigmas[i]));
    else if (of_betas)
      table.points.push_back(point_of_table(timestep, scheduler.noise(), *of_betas));
    else
      table.points.push_back({timestep, kNaN, kNaN, kNaN, kNaN});
  }
  if (sigmas.size() > table.points.size()) table.final_sigma = sigmas.back();
  return table;
}

double timestep_number(const Step& step) { return step.timestep.item<double>(); }

}  // namespace unnoise
