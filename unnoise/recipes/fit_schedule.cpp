#include "unnoise/recipes/fit_schedule.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "unnoise/core/error.h"
#include "unnoise/recipes/evenly_spaced.h"

namespace unnoise {
namespace {

constexpr int64_t kPathPoints = 128;  // of the path walked once; the fitted timesteps are among them
constexpr std::array kPowers{0.5, 1.0, 2.0}, kWeights{0.0, 0.5, 1.0};
constexpr int64_t kParts = 3 + static_cast<int64_t>(kPowers.size() * kWeights.size());  // of the work, for its progress

/// The exact path: at each timestep x and what the network says there.
struct PathPoint {
  int64_t t;
  Tensor x;   ///< [B,C,H,W] = sqrt(abar) x0 + sqrt(1 - abar) eps
  Tensor x0;  ///< predicted there
};

std::vector<PathPoint> walk(const Trial& trial, const std::stop_token& stop) {
  Json config = trial.pipe.scheduler->given_config();
  config["clip_sample"] = false;
  config["thresholding"] = false;
  const auto ddim = make_scheduler("ddim", config);
  const int64_t train = ddim->num_train_timesteps();
  std::vector<double> timesteps;
  for (const int64_t t : evenly_spaced(train, kPathPoints)) timesteps.push_back(static_cast<double>(t));
  std::reverse(timesteps.begin(), timesteps.end());

  std::vector<PathPoint> path;
  Unconditional pipe = trial.pipe;
  pipe.scheduler = ddim;
  SampleRequest request;
  request.num_images = trial.num_images;
  request.start.timesteps = timesteps;
  request.seed = trial.seed;
  request.class_labels = trial.class_labels;
  Tensor before;  // the initial noise is the first draw of the seed
  Rng rng(trial.seed);
  request.on_step = [&](const SampleStep& at) {
    if (!before.defined()) before = ddim->start(request.start).first(at.x.sizes().vec(), rng).to(at.x.device());
    path.push_back({static_cast<int64_t>(timesteps[static_cast<size_t>(at.step - 1)]), before, at.x0});
    before = at.x;
  };
  const Tensor last = pipe.sample(request, {}, stop);
  if (last.defined()) path.push_back({-1, before, before});  // not `last`, which was brought back from the GPU
  return path;
}

/// Root mean square error of the DDIM jump from each point to each later one, with the network's word at the first.
std::vector<std::vector<double>> jump_costs(const std::vector<PathPoint>& path, const NoiseSchedule& noise) {
  const auto level = [&](int64_t t) { return t < 0 ? NoiseLevel{1, 0} : noise.level(t); };
  std::vector<std::vector<double>> cost(path.size(), std::vector<double>(path.size(), 0));
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    const Tensor eps = eps_from(PredictionType::sample, path[i].x, path[i].x0, level(path[i].t));
    for (size_t j = i + 1; j < path.size(); ++j) {
      const auto [alpha, sigma] = level(path[j].t);
      cost[i][j] = (alpha * path[i].x0 + sigma * eps - path[j].x).square().mean().sqrt().item<double>();
    }
  }
  return cost;
}

/// How much an error made on the way to point j still counts at the end: k = 0 as it is; k > 0 less for early jumps,
/// which later steps partly mend, in proportion to alpha^k.
std::vector<std::vector<double>> weighted(std::vector<std::vector<double>> cost, const std::vector<PathPoint>& path,
                                          const NoiseSchedule& noise, double power, double k) {
  for (auto& row : cost)
    for (size_t j = 0; j < row.size(); ++j) {
      const double alpha = path[j].t < 0 ? 1.0 : noise.level(path[j].t).alpha;
      row[j] = std::pow(row[j], power) * std::pow(std::max(alpha, 1e-3), k);
    }
  return cost;
}

std::vector<double> as_doubles(const std::vector<int64_t>& values) { return {values.begin(), values.end()}; }

}  // namespace

std::vector<int64_t> cheapest_path(const std::vector<std::vector<double>>& cost, int64_t jumps) {
  const auto n = static_cast<int64_t>(cost.size());
  if (jumps < 1 || jumps > n - 1) throw usage_error(fmt::format("expected 1 to {} jumps, found {}", n - 1, jumps));
  constexpr double kFar = std::numeric_limits<double>::infinity();
  const auto at = [&](int64_t i, int64_t j) { return cost[static_cast<size_t>(i)][static_cast<size_t>(j)]; };
  // best[k][j]: least cost from 0 to j in k jumps; from[k][j]: the point before j.
  std::vector<std::vector<double>> best(static_cast<size_t>(jumps + 1), std::vector<double>(cost.size(), kFar));
  std::vector<std::vector<int64_t>> from(static_cast<size_t>(jumps + 1), std::vector<int64_t>(cost.size(), -1));
  best[0][0] = 0;
  for (size_t k = 1; k < best.size(); ++k)
    for (int64_t j = 1; j < n; ++j)
      for (int64_t i = 0; i < j; ++i) {
        const double sum = best[k - 1][static_cast<size_t>(i)] + at(i, j);
        if (sum >= best[k][static_cast<size_t>(j)]) continue;
        best[k][static_cast<size_t>(j)] = sum;
        from[k][static_cast<size_t>(j)] = i;
      }
  std::vector<int64_t> path;
  int64_t point = n - 1;
  for (auto k = static_cast<size_t>(jumps); k > 0; --k) path.push_back(point = from[k][static_cast<size_t>(point)]);
  std::reverse(path.begin(), path.end());
  return path;
}

FittedSchedule fit_schedule(const Trial& trial, const std::shared_ptr<const Scheduler>& scheduler, int64_t steps,
                            int64_t reference_steps, const Observer& observer, const std::stop_token& stop) {
  const auto takes = scheduler->run_options();
  if (std::find(takes.begin(), takes.end(), "timesteps") == takes.end())
    throw usage_error(fmt::format("--fit-sampler: {} takes no custom timesteps", scheduler->class_name()),
                      "Choose dpm_multistep, euler, heun, ddim or ddpm.");
  const int64_t most = std::min(kPathPoints, scheduler->num_train_timesteps());
  if (steps < 1 || steps > most)
    throw usage_error(fmt::format("--fit-schedule: expected 1 to {} steps, found {}", most, steps));

  const c10::NoGradGuard no_grad;
  const NoiseSchedule& noise = trial.pipe.scheduler->noise();
  auto at = [&, done = int64_t{0}](const char* what) mutable {
    observer.progress({.stage = "fit", .done = done++, .total = kParts, .detail = what});
  };
  at("walking the path");
  const auto path = walk(trial, stop);
  if (stop.stop_requested()) return {};
  const auto cost = jump_costs(path, noise);
  at("exact pictures");
  const Tensor exact = reference_run(trial, reference_steps, {}, stop).pictures;

  const auto distance = [&](const Trial& on, const StartOptions& start, const Tensor& from) {
    const Tensor pictures = run_sampler(on, scheduler, start, {}, stop).pictures;
    return pictures.defined() ? grey_levels_apart(pictures, from) : std::numeric_limits<double>::infinity();
  };
  // The jump errors are those of first-order steps; which weights suit the sampler is found by sampling.
  FittedSchedule best;
  double least = std::numeric_limits<double>::infinity();
  for (const double power : kPowers)
    for (const double k : kWeights) {
      if (stop.stop_requested()) return {};
      at("trying schedules");
      std::vector<int64_t> timesteps;
      for (const int64_t point : cheapest_path(weighted(cost, path, noise, power, k), steps))
        timesteps.push_back(path[static_cast<size_t>(point)].t);
      const double found = distance(trial, {.steps = steps, .timesteps = as_doubles(timesteps)}, exact);
      if (found >= least) continue;
      least = found;
      best.timesteps = timesteps;
    }
  if (best.timesteps.empty())
    throw data_error("no schedule gave finite pictures", "The weights have probably diverged.");

  at("other noise");
  const Trial fresh{trial.pipe, trial.num_images, trial.class_labels, trial.seed + 1};
  const Tensor fresh_exact = reference_run(fresh, reference_steps, {}, stop).pictures;
  if (!fresh_exact.defined()) return {};
  best.distance = distance(fresh, {.steps = steps, .timesteps = as_doubles(best.timesteps)}, fresh_exact);
  best.usual_distance = distance(fresh, {.steps = steps}, fresh_exact);
  return best;
}

}  // namespace unnoise
