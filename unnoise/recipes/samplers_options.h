// Everything `unnoise samplers` can be told.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/hub_options.h"
#include "unnoise/recipes/machine_options.h"

namespace unnoise {

struct SamplersOptions : MachineOptions, HubOptions {
  std::optional<std::string> model;
  std::optional<std::string> variant;
  std::vector<std::string> samplers;
  std::vector<int64_t> calls{5, 10, 20, 50};
  int64_t reference_steps = 1000;
  std::string timestep_spacing = "trailing";
  int64_t num_images = 8;
  std::vector<int64_t> class_labels;
  int64_t seed = 0;
  std::optional<int64_t> fit_schedule;
  std::string fit_sampler = "dpm_multistep";
  bool update_model = false;
  std::string output = "samplers";
  bool json = false;
  bool markdown = false;

  static constexpr auto fields() {
    using O = SamplersOptions;
    const auto rows = std::tuple{
        section("On which model"),
        field("model", &O::model,
              "model folder, or USER/NAME on the hub, to try the samplers on; without one they are only listed"),
        field("variant", &O::variant, "which weights of the folder, e.g. fp16"),
        field("samplers", &O::samplers,
              "which, by name (\"ddim,unipc,DPM++ 2M Karras\"); default: all that fit the model"),
        field("calls", &O::calls, "budgets: calls of the network for a picture"),
        field("reference_steps", &O::reference_steps, "steps of DDIM that stand for the exact picture"),
        field(
            "timestep_spacing", &O::timestep_spacing,
            "of all samplers: trailing or linspace begin at pure noise, as the exact picture does; leading, as-saved"),
        field("num_images", &O::num_images, "pictures to compare, each from the same noise with every sampler"),
        field("class_labels", &O::class_labels, "class of each picture (one for all, or one a picture)"),
        field("seed", &O::seed, "of the noise"),
        section("Timesteps fitted to the model"),
        field("fit_schedule", &O::fit_schedule, "find the best timesteps for this many steps on this model"),
        field("fit_sampler", &O::fit_sampler, "the sampler that they are for; one that takes custom timesteps"),
        field("update_model", &O::update_model,
              "store them in the model's scheduler_config.json, for unnoise sample --fitted-timesteps"),
        section("Where to"),
        field("output", &O::output,
              "folder for samplers.svg (distance over calls), grid.svg and grid.png (a row a sampler), report.json"),
        field("json", &O::json, "print JSON instead of a table"),
        field("markdown", &O::markdown, "print the list as Markdown"),
    };
    return std::tuple_cat(rows, machine_fields(), hub_fields());
  }
};

}  // namespace unnoise
