// How good a model's pictures are, and how well it knows others.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/core/observer.h"
#include "unnoise/recipes/hub_options.h"
#include "unnoise/recipes/job.h"
#include "unnoise/recipes/machine_options.h"
#include "unnoise/recipes/metric.h"

namespace unnoise {

struct EvaluateOptions : MachineOptions, HubOptions {
  std::vector<Metric> metrics = all_metrics();
  std::string features = "fmnist";
  bool bits_per_dim = false;

  std::string model;
  std::optional<std::string> variant;
  std::optional<std::string> samples;
  std::optional<int64_t> num_images;
  std::string scheduler = "auto";
  std::optional<int64_t> num_inference_steps;
  std::vector<int64_t> class_labels;

  std::string data;
  std::optional<std::string> dataset_config_name;
  std::optional<std::string> split;
  int64_t num_reference = 0;
  std::optional<std::string> held_out;
  bool random_flip = false;
  std::optional<int64_t> resolution;
  bool center_crop = false;
  std::optional<std::string> cache_dir;

  int64_t batch_size = 16;
  int64_t seed = 0;
  bool use_labels = false;
  double rtol = 1e-3;
  double atol = 1e-3;
  int64_t probes = 1;

  std::optional<std::string> neighbours;
  bool json = false;

  static constexpr auto fields() {
    using O = EvaluateOptions;
    const auto rows = std::tuple{
        section("What to measure"),
        field("metrics", &O::metrics,
              "fd: Fréchet distance; kd: kernel distance; pr: precision, recall; dc: density, coverage; swd: sliced "
              "Wasserstein, mmd: maximum mean discrepancy, both on pixels; nn: copies of training pictures"),
        field("features", &O::features,
              "the network that pictures are compared by: fmnist (comes with unnoise), pixels (none), or a file that "
              "`unnoise classifier` made or that holds the Inception network's weights"),
        field("bits_per_dim", &O::bits_per_dim,
              "instead: likelihood by the probability-flow ODE (Song et al. 2021): bits a pixel and channel, fewer is "
              "better"),
        section("Of what"),
        field("model", &O::model, "model folder, or USER/NAME on the hub, to draw pictures with"),
        field("variant", &O::variant, "which weights of the folder, e.g. fp16"),
        field("samples", &O::samples, "instead of a model: folder of drawn pictures"),
        field("num_images", &O::num_images,
              "how many pictures; default: draw 1000, take all of --samples, 64 with --bits-per-dim (there 0 = all)"),
        field("scheduler", &O::scheduler,
              "sampler by name; auto = as saved, but ddim where that is DDPM, whose 1000 steps take long"),
        field("num_inference_steps", &O::num_inference_steps,
              "denoising steps; default: what the sampler usually takes"),
        field("class_labels", &O::class_labels,
              "classes to draw with a class-conditional model, in turn; default: all in turn"),
        section("Beside what"),
        field("data", &O::data,
              "the pictures that the model learnt from: folder, archive, Parquet, IDX or npz file, or a set known by "
              "name such as fashion-mnist, or USER/NAME on the hub"),
        field("dataset_config_name", &O::dataset_config_name,
              "of --data with several configurations, as the hub keeps them: the folder of that name"),
        field("split", &O::split,
              "train, validation or test, where the set has parts; default: train, with --bits-per-dim test"),
        field("num_reference", &O::num_reference, "use only so many of them, drawn at random; 0 = all"),
        field(
            "held_out", &O::held_out,
            "pictures that the model has not seen, to calibrate the check for copies; default: the test part of --data "
            "where it has one, else the training pictures themselves, each among the others"),
        field("random_flip", &O::random_flip, "the model learnt from mirror images too: compare with them as well"),
        field("resolution", &O::resolution, "pixels; default: the model's size, or that of --samples"),
        field("center_crop", &O::center_crop, "crop the middle instead of a random place"),
        field("cache_dir", &O::cache_dir, "keep the features of --data in this folder, for the next time"),
        section("How"),
        field("batch_size", &O::batch_size, "pictures drawn at once"),
        field("seed", &O::seed, "of the drawn pictures and of every choice at random"),
        field("use_labels", &O::use_labels, "bits per dim: tell a class-conditional model each picture's class"),
        field("rtol", &O::rtol, "bits per dim: relative error of a step of the ODE"),
        field("atol", &O::atol, "bits per dim: absolute error of a step of the ODE"),
        field("probes", &O::probes,
              "bits per dim: random directions averaged for the divergence (Hutchinson); more = less noise"),
        section("Where to"),
        field(
            "neighbours", &O::neighbours,
            "file for a sheet of the most suspicious pictures, each beside the nearest training picture by pixels and "
            "by features: .svg with labels, .png without"),
        field("json", &O::json, "print JSON instead of text"),
    };
    return std::tuple_cat(rows, machine_fields(), hub_fields());
  }
};

struct EvaluateResult {
  JobStatus status = JobStatus::done;
  std::vector<std::string> files;  ///< that were written
  std::string report;              ///< text or JSON, ready to print
};

EvaluateResult evaluate(const EvaluateOptions& options, const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
