#include "unnoise/recipes/sampler_comparison.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

/// An adaptive method has a tolerance for a budget: the looser the fewer calls.
StartOptions adaptive_start(size_t budget) {
  const double tolerance = std::pow(10.0, -2.0 - 0.5 * static_cast<double>(budget));
  return {.rtol = tolerance, .atol = tolerance};
}

}  // namespace

SamplerRun run_sampler(const Trial& trial, std::shared_ptr<const Scheduler> scheduler, const StartOptions& start,
                       const Observer& observer, const std::stop_token& stop) {
  Unconditional pipe = trial.pipe;
  pipe.scheduler = std::move(scheduler);
  SamplerRun result;
  SampleRequest request;
  request.num_images = trial.num_images;
  request.steps = start.steps;
  request.start = start;
  request.seed = trial.seed;
  request.class_labels = trial.class_labels;
  request.on_step = [&](const SampleStep&) { ++result.calls; };
  const auto started = std::chrono::steady_clock::now();
  const Tensor pictures = pipe.sample(request, observer, stop);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  result.steps = start.steps;
  if (pictures.defined() && !stop.stop_requested()) result.pictures = pictures.clamp(-1, 1);
  return result;
}

double grey_levels_apart(const Tensor& a, const Tensor& b) {
  return (a - b).square().mean().sqrt().item<double>() * 127.5;
}

SamplerRun reference_run(const Trial& trial, int64_t steps, const Observer& observer, const std::stop_token& stop) {
  Json config = trial.pipe.scheduler->given_config();
  config["clip_sample"] = false;
  config["thresholding"] = false;
  config["timestep_spacing"] = "trailing";  // from pure noise, as long as the model was trained with it
  auto ddim = make_scheduler("ddim", config);
  steps = std::min(steps, ddim->num_train_timesteps());
  return run_sampler(trial, std::move(ddim), {.steps = steps}, observer, stop);
}

std::vector<std::string> samplers_for(const Scheduler& scheduler) {
  std::vector<std::string> names;
  for (const SamplerInfo& info : samplers()) {
    if (info.special) continue;
    try {
      if (make_scheduler(info.name, scheduler)->has_noise() == scheduler.has_noise()) names.emplace_back(info.name);
    } catch (const Error&) {
      continue;  // cannot take what this model predicts
    }
  }
  for (const auto* alias : {"DPM++ 2M Karras", "Heun Karras"})
    if (std::find(names.begin(), names.end(), find_sampler(alias).info->name) != names.end()) names.emplace_back(alias);
  return names;
}

std::optional<int64_t> steps_within(const Scheduler& scheduler, int64_t calls) {
  for (int64_t steps = std::min(calls, scheduler.num_train_timesteps()); steps >= 1; --steps) {
    try {
      if (static_cast<int64_t>(scheduler.start({.steps = steps}).steps().size()) <= calls) return steps;
    } catch (const Error&) {
      continue;  // a method may need more steps than this
    }
  }
  return std::nullopt;
}

SamplerScore score_sampler(const Trial& trial, const std::string& name, const std::vector<int64_t>& budgets,
                           const Tensor& reference, const Observer& observer, const std::stop_token& stop) {
  const auto scheduler = make_scheduler(name, *trial.pipe.scheduler);
  const bool is_adaptive = scheduler->start({.steps = 1}).is_adaptive();
  SamplerScore score{.name = name, .stochastic = find_sampler(name).info->stochastic, .runs = {}};
  if (const Json config = scheduler->config(); config.value("algorithm_type", "").starts_with("sde"))
    score.stochastic = true;
  for (size_t i = 0; i < budgets.size(); ++i) {
    score.runs.emplace_back();
    if (stop.stop_requested()) continue;
    const auto steps = is_adaptive ? std::optional<int64_t>(0) : steps_within(*scheduler, budgets[i]);
    if (!steps) continue;
    const StartOptions start = is_adaptive ? adaptive_start(i) : StartOptions{.steps = *steps};
    SamplerRun run = run_sampler(trial, scheduler, start, observer, stop);
    if (!run.pictures.defined()) continue;
    run.steps = *steps;
    run.distance = grey_levels_apart(run.pictures, reference);
    score.runs.back() = std::move(run);
  }
  return score;
}

}  // namespace unnoise
