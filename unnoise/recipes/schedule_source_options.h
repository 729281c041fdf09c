// Which noise schedules a command is about.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/hub_options.h"

namespace unnoise {

struct ScheduleSource : HubOptions {
  std::vector<std::string> names;
  std::optional<std::string> model;
  std::vector<std::string> scheduler_options;
  std::optional<int64_t> num_train_timesteps;
  std::optional<double> beta_start;
  std::optional<double> beta_end;
  std::optional<bool> rescale_betas_zero_snr;

  static constexpr auto source_fields() {
    using O = ScheduleSource;
    return std::tuple{
        section("Which schedules"),
        field("names", &O::names,
              "beta schedules (linear, scaled_linear, squaredcos_cap_v2, laplace, sigmoid, exp), samplers (ddim, "
              "\"DPM++ 2M Karras\") and model folders; the flag's name may be left out"),
        field("model", &O::model,
              "model folder, USER/NAME on the hub, or scheduler_config.json: its scheduler (by name: as-saved); "
              "samplers that are named "
              "take over its settings"),
        field("scheduler_options", &O::scheduler_options,
              "keys of the scheduler_config.json: solver_order=3,use_karras_sigmas=true"),
        field("num_train_timesteps", &O::num_train_timesteps,
              "timesteps of the forward process; default: as saved, else 1000"),
        field("beta_start", &O::beta_start, "first beta; default: as saved, else the scheduler's own (mostly 0.0001)"),
        field("beta_end", &O::beta_end, "last beta; default: as saved, else the scheduler's own (mostly 0.02)"),
        field("rescale_betas_zero_snr", &O::rescale_betas_zero_snr,
              "make the last timestep pure noise (true or false); default: as saved, else false"),
    };
  }
};

}  // namespace unnoise
