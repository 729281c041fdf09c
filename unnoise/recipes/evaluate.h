// How well a trained model knows a folder of pictures.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <tuple>

#include "unnoise/core/fields.h"
#include "unnoise/core/observer.h"
#include "unnoise/recipes/job.h"
#include "unnoise/recipes/machine_options.h"

namespace unnoise {

struct EvaluateOptions : MachineOptions {
  bool bits_per_dim = false;
  std::string model;
  std::optional<std::string> variant;
  std::string data;
  std::string split = "test";
  int64_t num_images = 64;
  int64_t batch_size = 16;
  std::optional<int64_t> resolution;
  bool center_crop = false;
  bool use_labels = false;
  double rtol = 1e-3;
  double atol = 1e-3;
  int64_t probes = 1;
  int64_t seed = 0;
  bool json = false;

  static constexpr auto fields() {
    using O = EvaluateOptions;
    const auto rows = std::tuple{
        section("What to measure"),
        field("bits_per_dim", &O::bits_per_dim,
              "likelihood by the probability-flow ODE (Song et al. 2021): bits a pixel and channel, fewer is better"),
        section("Of what"),
        field("model", &O::model, "model folder"),
        field("variant", &O::variant, "which weights of the folder, e.g. fp16"),
        field("data", &O::data, "folder of pictures, IDX file, or a set known by name such as fashion-mnist"),
        field("split", &O::split, "train, validation or test, of a set known by name"),
        field("num_images", &O::num_images, "how many pictures, drawn at random; 0 = all"),
        field("batch_size", &O::batch_size, "how many at once"),
        field("resolution", &O::resolution, "pixels; default: the model's size"),
        field("center_crop", &O::center_crop, "crop the middle instead of a random place"),
        field("use_labels", &O::use_labels, "tell a class-conditional model each picture's class"),
        section("How"),
        field("rtol", &O::rtol, "relative error of a step of the ODE"),
        field("atol", &O::atol, "absolute error of a step of the ODE"),
        field("probes", &O::probes, "random directions averaged for the divergence (Hutchinson); more = less noise"),
        field("seed", &O::seed, "of the choice of pictures, dequantization and directions"),
        section("Where to"),
        field("json", &O::json, "print JSON instead of text"),
    };
    return std::tuple_cat(rows, machine_fields());
  }
};

struct EvaluateResult {
  JobStatus status = JobStatus::done;
  std::string report;  ///< text or JSON, ready to print
};

EvaluateResult evaluate(const EvaluateOptions& options, const Observer& observer = {}, std::stop_token stop = {});

}  // namespace unnoise
