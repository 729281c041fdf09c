// The stand-ins of diffusers' own scheduler tests, so that its numbers can be quoted.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

#include <optional>

#include "unnoise/schedulers/scheduler.h"

namespace unnoise::dummies {

/// [4,3,8,8]: element [b,c,h,w] is (((8c + h)8 + w)4 + b) / 768.
inline Tensor sample() { return at::arange(768, at::kFloat).reshape({3, 8, 8, 4}).div(768).permute({3, 0, 1, 2}); }
inline Tensor noise() {
  return at::arange(768, at::kFloat).flip(0).reshape({3, 8, 8, 4}).div(768).permute({3, 0, 1, 2});
}

/// x t / (t + 1)
inline Tensor model(const Tensor& x, const Tensor& t) {
  const Tensor time = t.to(x.scalar_type());
  return x * time / (time + 1);
}

/// The whole loop from `x` with the generator of seed 0; `model` maps (x, t) to the network's output.
template <class Model>
Tensor loop(const Scheduler& scheduler, const StartOptions& options, Tensor x, Model model) {
  Rng rng(0);
  Run run = scheduler.start(options);
  for (const Step& step : run.steps()) x = run.next(x, model(run.input(x, step), step.timestep), step, rng);
  return x;
}
inline Tensor loop(const Scheduler& scheduler, const StartOptions& options) {
  return loop(scheduler, options, sample(), model);
}

inline double sum_abs(const Tensor& x) { return x.abs().sum().item<double>(); }
inline double probe(const Tensor& x) { return x[1][1][3][5].item<double>(); }

inline std::vector<int64_t> timesteps_of(const Run& run) {
  std::vector<int64_t> out;
  for (const Step& step : run.steps()) out.push_back(step.timestep.item<int64_t>());
  return out;
}

/// A golden row: sum of |x| and x[1,1,3,5] of the final sample, N = 10 unless the options say otherwise.
struct Row {
  const char* name;
  Json config;
  StartOptions options;
  double sum;
  std::optional<double> probe;
};

}  // namespace unnoise::dummies
