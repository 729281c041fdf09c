// What one run of a scheduler can be told. No tensor here: the program's options walk the same field table.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"

namespace unnoise {

struct KnownPixels;  // scheduler.h

/// A member that the scheduler's method has no use for must keep its default (Error::usage).
struct StartOptions {
  int64_t steps = 50;  ///< sampling steps; most methods take at most num_train_timesteps
  int64_t begin = 0;   ///< index of the first step to run: skips the noisiest, for image-to-image
  std::optional<std::vector<double>> timesteps;  ///< these timesteps instead of `steps` spaced ones
  std::optional<std::vector<double>> sigmas;     ///< these noise levels instead, the last (often 0) included
  std::optional<double> eta;                     ///< DDIM, TCD, RePaint
  bool use_clipped_model_output = false;         ///< DDIM: derive eps again from the clipped x0 (GLIDE)
  double s_churn = 0;
  double s_tmin = 0;
  std::optional<double> s_tmax;
  double s_noise = 1;
  std::optional<int64_t> order;
  std::optional<int64_t> original_inference_steps;
  std::optional<double> strength;
  std::optional<double> mu;
  std::optional<int64_t> jump_length;
  std::optional<int64_t> jump_n_sample;
  std::optional<double> rtol;
  std::optional<double> atol;
  std::shared_ptr<const KnownPixels> known;  ///< RePaint: what is to stay

  /// What steers a method besides the grid; each is of use to those that its help names.
  static constexpr auto method_fields() {
    using O = StartOptions;
    return std::tuple{
        field("eta", &O::eta, "ddim: 0 (default) = deterministic, 1 = as much noise as ddpm; tcd: 0 to 1 (0.3)"),
        field("use_clipped_model_output", &O::use_clipped_model_output,
              "ddim: recompute the noise from the clipped picture"),
        field("s_churn", &O::s_churn, "euler, flow_heun, edm_euler, edm_heun: fresh noise, over all steps; 0 = none"),
        field("s_tmin", &O::s_tmin, "the same: only at sigmas from here"),
        field("s_tmax", &O::s_tmax, "the same: only at sigmas up to here; default: all"),
        field("s_noise", &O::s_noise, "standard deviation of the fresh noise, where a method adds some"),
        field("order", &O::order, "lms: steps that it looks back, from 1 (4)"),
        field("original_inference_steps", &O::original_inference_steps,
              "lcm, tcd: steps of the teacher's grid; default: as saved"),
        field("strength", &O::strength, "lcm, tcd: how far up the teacher's grid to begin, above 0 to 1"),
        field("mu", &O::mu, "schedulers saved with use_dynamic_shifting: how far to shift"),
        field("jump_length", &O::jump_length, "repaint: steps of a jump back (10)"),
        field("jump_n_sample", &O::jump_n_sample, "repaint: how often each jump is made (10)"),
        field("rtol", &O::rtol, "dopri5, dpm_adaptive: relative error that a step may make"),
        field("atol", &O::atol, "dopri5, dpm_adaptive: absolute error that a step may make"),
    };
  }
  static constexpr auto fields() {
    using O = StartOptions;
    return std::tuple_cat(
        std::tuple{field("steps", &O::steps, "sampling steps"), field("begin", &O::begin, "first step to run"),
                   field("timesteps", &O::timesteps, "your own timesteps instead of spaced ones"),
                   field("sigmas", &O::sigmas, "your own noise levels instead, the last included")},
        method_fields());
  }
};

}  // namespace unnoise
