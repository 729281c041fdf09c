// Everything `unnoise noise` can be told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/machine_options.h"
#include "unnoise/recipes/schedule_source_options.h"

namespace unnoise {

struct NoiseStripOptions : ScheduleSource, MachineOptions {
  std::string image;
  std::vector<int64_t> timesteps;
  std::optional<int64_t> num_inference_steps;
  int64_t seed = 0;
  std::optional<int64_t> resolution;
  bool predict = false;
  std::optional<int64_t> class_label;
  std::string output = "noised.png";
  bool json = false;

  static constexpr auto fields() {
    using O = NoiseStripOptions;
    const auto what = std::tuple{
        section("What to show"),
        field("image", &O::image, "a picture: PNG, JPEG, WebP, BMP, GIF or TIFF"),
        field("timesteps", &O::timesteps, "training timesteps, one a panel, in your order; default: 10 of all"),
        field("num_inference_steps", &O::num_inference_steps,
              "instead: 10 of the calls of the network in a run of so many steps"),
        field("predict", &O::predict,
              "a second row: the picture that the network of --model sees in the noise, by one call a panel"),
        field("class_label", &O::class_label, "class of the picture, for --predict with a class-conditional model"),
        field("resolution", &O::resolution,
              "pixels a side of a panel, cropped from the middle; default: the model's size, else 128"),
        field("seed", &O::seed, "of the noise, which is the same in every panel"),
    };
    const auto where = std::tuple{
        section("Where to"),
        field("output", &O::output, "the strip, a row a schedule: PNG, or, with the timesteps written above it, SVG"),
        field("json", &O::json, "print JSON instead of a table"),
    };
    return std::tuple_cat(what, O::source_fields(), where, machine_fields(), hub_fields());
  }
};

}  // namespace unnoise
