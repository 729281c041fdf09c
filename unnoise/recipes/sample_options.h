// Everything `unnoise sample` can be told.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"

namespace unnoise {

struct SampleOptions {
  std::string model;
  std::optional<std::string> variant;
  std::optional<int64_t> num_images;
  int64_t batch_size = 16;
  std::optional<int64_t> num_inference_steps;
  std::string scheduler = "as-saved";
  double eta = 0.0;
  std::optional<bool> clip_sample;
  std::optional<std::string> timestep_spacing;
  std::vector<int64_t> timesteps;
  bool use_clipped_model_output = false;
  std::vector<int64_t> class_labels;
  int64_t seed = 0;
  std::vector<int64_t> seeds;
  std::optional<int64_t> height;
  std::optional<int64_t> width;
  std::optional<std::string> output;
  std::optional<std::string> grid;
  std::optional<std::string> gif;
  std::optional<std::string> apng;
  std::optional<std::string> save_tensor;
  std::string device = "auto";
  int64_t threads = 0;

  static constexpr auto fields() {
    using O = SampleOptions;
    return std::tuple{
        section("What to draw"),
        field("model", &O::model,
              "model folder: one that unnoise train wrote, or any diffusers pipeline with a UNet2DModel"),
        field("variant", &O::variant, "which weights of the folder, e.g. fp16"),
        field("num_images", &O::num_images, "how many pictures; default: 1, or as many as --seeds"),
        field("batch_size", &O::batch_size, "how many at once"),
        field("height", &O::height, "pixels; default: the model's size"),
        field("width", &O::width, "pixels; default: the model's size"),
        field("class_labels", &O::class_labels, "class of each picture (one for all, or one a picture)"),
        section("How"),
        field("num_inference_steps", &O::num_inference_steps, "denoising steps; default: 1000 for ddpm, 50 for ddim"),
        field("scheduler", &O::scheduler, "as-saved, ddpm or ddim"),
        field("eta", &O::eta, "ddim: 0 = deterministic, 1 = as much noise as ddpm"),
        field("clip_sample", &O::clip_sample,
              "clip predicted pictures to [-1,1] at each step (true or false); default: as saved"),
        field("timestep_spacing", &O::timestep_spacing, "leading, linspace or trailing; default: as saved"),
        field("timesteps", &O::timesteps, "your own descending list instead of --num-inference-steps (ddpm)"),
        field("use_clipped_model_output", &O::use_clipped_model_output,
              "ddim: recompute the noise from the clipped picture"),
        field("seed", &O::seed, "one random stream for all pictures, as a torch.Generator in diffusers"),
        field("seeds", &O::seeds, "a stream a picture: 1,2,3; a picture then does not depend on its batch"),
        section("Where to"),
        field("output", &O::output,
              "folder for a PNG a picture; default: samples, or none when only other outputs are asked for"),
        field("grid", &O::grid, "all pictures in one PNG"),
        field("gif", &O::gif, "the pictures emerging, as an animated GIF"),
        field("apng", &O::apng, "the same as an animated PNG (true colours)"),
        field("save_tensor", &O::save_tensor,
              "final samples as safetensors: key \"samples\", [N,C,H,W] float32, before conversion to pixels"),
        section("Machine"),
        field("device", &O::device, "auto, cpu or cuda"),
        field("threads", &O::threads, "processor threads; 0 = all physical cores"),
    };
  }
};

}  // namespace unnoise
