// Everything `unnoise sample` can be told.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/hub_options.h"
#include "unnoise/recipes/machine_options.h"
#include "unnoise/schedulers/start_options.h"

namespace unnoise {

/// The base holds what steers single samplers (eta, s_churn ...), timesteps and sigmas.
struct SampleOptions : StartOptions, MachineOptions, HubOptions {
  std::string model;
  std::optional<std::string> variant;
  std::optional<int64_t> num_images;
  int64_t batch_size = 16;
  std::optional<int64_t> num_inference_steps;
  std::string scheduler = "as-saved";
  std::optional<bool> clip_sample;
  std::optional<std::string> timestep_spacing;
  std::vector<std::string> scheduler_options;
  bool fitted_timesteps = false;
  std::optional<std::string> ays;
  std::vector<int64_t> class_labels;
  int64_t seed = 0;
  std::vector<int64_t> seeds;
  std::optional<int64_t> height;
  std::optional<int64_t> width;
  std::optional<std::string> output;
  std::optional<std::string> grid;
  std::optional<std::string> gif;
  std::optional<std::string> apng;
  std::optional<std::string> frames;
  std::optional<std::string> save_tensor;

  static constexpr auto fields() {
    using O = SampleOptions;
    const auto what = std::tuple{
        section("What to draw"),
        field("model", &O::model,
              "model folder, one that unnoise train wrote or any diffusers pipeline with a UNet2DModel; or USER/NAME "
              "on the hub"),
        field("variant", &O::variant, "which weights of the folder, e.g. fp16"),
        field("num_images", &O::num_images, "how many pictures; default: 1, or as many as --seeds"),
        field("batch_size", &O::batch_size, "how many at once"),
        field("height", &O::height, "pixels; default: the model's size"),
        field("width", &O::width, "pixels; default: the model's size"),
        field("class_labels", &O::class_labels, "class of each picture (one for all, or one a picture)"),
        section("How"),
        field("num_inference_steps", &O::num_inference_steps,
              "denoising steps; default: 1000 for ddpm, 50 for most others (unnoise samplers says)"),
        field("scheduler", &O::scheduler,
              "as-saved, or a sampler by name (\"dpm_multistep\", \"DPM++ 2M Karras\"): unnoise samplers lists them"),
        field("scheduler_options", &O::scheduler_options,
              "keys of its scheduler_config.json: solver_order=3,use_karras_sigmas=true"),
        field("clip_sample", &O::clip_sample,
              "clip predicted pictures to [-1,1] at each step (true or false); default: as saved"),
        field("timestep_spacing", &O::timestep_spacing, "leading, linspace or trailing; default: as saved"),
        field("timesteps", &O::timesteps, "your own falling list instead of --num-inference-steps"),
        field("fitted_timesteps", &O::fitted_timesteps,
              "those that unnoise samplers --fit-schedule stored with the model for this number of steps"),
        field("ays", &O::ays,
              "align-your-steps grid of sd, sdxl or svd (10 steps; others by interpolation where the sampler takes "
              "sigmas)"),
        field("sigmas", &O::sigmas, "your own noise levels instead, falling, the last (often 0) included"),
        field("seed", &O::seed, "one random stream for all pictures, as a torch.Generator in diffusers"),
        field("seeds", &O::seeds, "a stream a picture: 1,2,3; a picture then does not depend on its batch"),
    };
    const auto where = std::tuple{
        section("Where to"),
        place("output", &O::output,
              "folder for a PNG a picture; default: samples, or none when only other outputs are asked for"),
        place("grid", &O::grid, "all pictures in one PNG"),
        place("gif", &O::gif, "the pictures emerging, as an animated GIF"),
        place("apng", &O::apng, "the same as an animated PNG (true colours)"),
        place("frames", &O::frames,
              "the way from noise as one PNG, or labelled SVG: 10 steps from left to right, above x after the step, "
              "below the x0 that the network sees in it; up to 4 pictures"),
        place("save_tensor", &O::save_tensor,
              "final samples as safetensors: key \"samples\", [N,C,H,W] float32, before conversion to pixels"),
    };
    return std::tuple_cat(what, std::tuple{section("For single samplers")}, O::method_fields(), where, machine_fields(),
                          hub_fields());
  }
};

}  // namespace unnoise
