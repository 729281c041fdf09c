// Everything `unnoise ema` can be told.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/machine_options.h"

namespace unnoise {

struct EmaJobOptions : MachineOptions {
  std::string run;
  std::optional<int64_t> step;
  std::optional<double> sigma_rel;
  std::optional<double> halflife;
  std::optional<std::string> output;
  std::optional<std::string> svg;
  bool sweep = false;
  std::vector<double> sweep_values;
  std::optional<std::string> data;
  std::string split = "test";
  int64_t num_images = 1024;
  int64_t batch_size = 64;
  int64_t seed = 0;
  int64_t fd_images = 0;
  int64_t num_inference_steps = 20;
  std::optional<std::string> report;
  bool json = false;

  static constexpr auto fields() {
    using O = EmaJobOptions;
    const auto rows = std::tuple{
        section("Which average"),
        field("run", &O::run, "run folder of unnoise train --ema-sigma-rel"),
        field("sigma_rel", &O::sigma_rel, "relative width of the average (EDM2), above 0, at most 0.2886"),
        field("halflife", &O::halflife, "instead: an exponential average's half-life, in thousands of pictures"),
        field("step", &O::step, "as of this training step; one that has snapshots; default: the last"),
        field(
            "output", &O::output,
            "write the average there as a model folder (with --sweep: the best); unnoise sample and diffusers load it"),
        field("svg", &O::svg,
              "draw how much each moment of the training counts in that average, and in the stored ones"),
        section("Which is best"),
        field("sweep", &O::sweep, "rebuild many and measure each: denoising loss on pictures not trained on"),
        field("sweep_values", &O::sweep_values, "widths to try; default: a dozen around the stored ones"),
        field("data", &O::data,
              "held-out pictures, a folder or a set known by name; default: what the run trained on, where it has "
              "such a part"),
        field("split", &O::split, "train, validation or test, where the set has parts"),
        field("num_images", &O::num_images, "how many of them; 0 = all"),
        field("batch_size", &O::batch_size, "how many at once"),
        field("seed", &O::seed, "of the choice of pictures and their noise, the same for every width"),
        field("fd_images", &O::fd_images,
              "draw so many pictures with each width, measure their Fréchet distance to the training pictures (fmnist "
              "features), and go by that; 0 = go by the loss"),
        field("num_inference_steps", &O::num_inference_steps, "denoising steps of those pictures"),
        field("report", &O::report, "folder for the sweep's curves and ema-sweep.json; default: the run folder"),
        field("json", &O::json, "print JSON instead of a table"),
    };
    return std::tuple_cat(rows, machine_fields());
  }
};

}  // namespace unnoise
