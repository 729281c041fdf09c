// Everything `unnoise bench` can be told.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/machine_options.h"
#include "unnoise/training/precision.h"

namespace unnoise {

enum class BenchTask {
  train,    ///< noise, forward, loss, backward, clip, AdamW
  forward,  ///< one call of the network, without gradients
  sample,   ///< a whole run of DDIM
};
constexpr auto enum_names(BenchTask) {
  return std::array{std::pair{BenchTask::train, "train"}, std::pair{BenchTask::forward, "forward"},
                    std::pair{BenchTask::sample, "sample"}};
}

struct BenchOptions : MachineOptions {
  std::vector<std::string> names;
  std::vector<BenchTask> what{BenchTask::train, BenchTask::forward, BenchTask::sample};
  std::optional<int64_t> batch_size;
  Precision mixed_precision = Precision::no;
  bool gradient_checkpointing = false;
  int64_t num_inference_steps = 50;
  int64_t repeats = 5;
  std::optional<std::string> output;
  bool json = false;

  static constexpr auto fields() {
    using O = BenchOptions;
    const auto rows = std::tuple{
        section("What to time"),
        field("names", &O::names,
              "networks: butterflies and cifar10 (32 pixels), mnist (28), script (64); default: all; the flag's name "
              "may be left out"),
        field("what", &O::what, "a training step, a forward pass, a picture by DDIM"),
        field("batch_size", &O::batch_size,
              "pictures at once; default: the course's for train (64, 16, 128, 16), 1 for forward and sample"),
        field("mixed_precision", &O::mixed_precision, "arithmetic of the network; fp16 on a GPU"),
        field("gradient_checkpointing", &O::gradient_checkpointing, "train: less memory, slower"),
        field("num_inference_steps", &O::num_inference_steps, "sample: denoising steps"),
        section("How often"),
        field("repeats", &O::repeats, "times of each, after one or two to warm up"),
        section("Where to"),
        field("output", &O::output, "write the figures there as JSON"),
        field("json", &O::json, "print JSON instead of a table"),
    };
    return std::tuple_cat(rows, machine_fields());
  }
};

}  // namespace unnoise
