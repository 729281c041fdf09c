// Everything `unnoise schedule` can be told.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/schedule_source_options.h"
#include "unnoise/schedulers/start_options.h"

namespace unnoise {

/// What can be listed and drawn; named as in diffusers where there is a name.
enum class ScheduleCurve {
  sqrt_alphas_cumprod,
  sqrt_one_minus_alphas_cumprod,
  log_snr,
  sigmas,
  alphas_cumprod,
  betas,
};
constexpr auto enum_names(ScheduleCurve) {
  using enum ScheduleCurve;
  return std::array{std::pair{sqrt_alphas_cumprod, "sqrt_alphas_cumprod"},
                    std::pair{sqrt_one_minus_alphas_cumprod, "sqrt_one_minus_alphas_cumprod"},
                    std::pair{log_snr, "log_snr"},
                    std::pair{sigmas, "sigmas"},
                    std::pair{alphas_cumprod, "alphas_cumprod"},
                    std::pair{betas, "betas"}};
}

struct ScheduleOptions : ScheduleSource, StartOptions {
  std::vector<ScheduleCurve> curves = {ScheduleCurve::sqrt_alphas_cumprod, ScheduleCurve::sqrt_one_minus_alphas_cumprod,
                                       ScheduleCurve::log_snr, ScheduleCurve::sigmas};
  std::optional<int64_t> num_inference_steps;
  std::optional<int64_t> rows;
  bool json = false;
  std::optional<std::string> svg;
  std::optional<bool> log_scale;

  static constexpr auto fields() {
    using O = ScheduleOptions;
    const auto what = std::tuple{
        section("Steps of a run, instead of all training timesteps"),
        field("num_inference_steps", &O::num_inference_steps, "the calls of the network in a run of so many steps"),
        field("timesteps", &O::timesteps, "a run over your own falling list"),
        field("sigmas", &O::sigmas, "a run over your own noise levels, falling, the last (often 0) included"),
        field("original_inference_steps", &O::original_inference_steps, "lcm, tcd: steps of the teacher's grid"),
        field("strength", &O::strength, "lcm, tcd: how far up the teacher's grid to begin, above 0 to 1"),
        field("mu", &O::mu, "schedulers saved with use_dynamic_shifting: how far to shift"),
        field("jump_length", &O::jump_length, "repaint: steps of a jump back (10)"),
        field("jump_n_sample", &O::jump_n_sample, "repaint: how often each jump is made (10)"),
    };
    const auto how = std::tuple{
        section("What to see"),
        field("curves", &O::curves, "columns of the table and curves of the plot"),
        field("rows", &O::rows,
              "rows of the table, evenly spaced, 0 = all; default: 20, or all calls of a run of up to 60"),
        field("json", &O::json, "print JSON with every value instead of a table (null where infinite)"),
        field("svg", &O::svg, "draw the curves into this file"),
        field("log_scale", &O::log_scale,
              "sigmas and betas on a logarithmic axis (true or false); default: sigmas that span more than a factor "
              "of 100"),
    };
    return std::tuple_cat(O::source_fields(), what, how, hub_fields());
  }
};

}  // namespace unnoise
