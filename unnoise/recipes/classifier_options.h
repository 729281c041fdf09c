// What `unnoise classifier` can be told.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/io/image_mode.h"
#include "unnoise/recipes/machine_options.h"

namespace unnoise {

struct ClassifierJobOptions : MachineOptions {
  std::string data;
  std::string split = "train";
  std::string test_split = "test";
  std::optional<std::string> test_data;
  int64_t resolution = 28;
  ImageMode image_mode = ImageMode::grey;
  bool center_crop = false;
  bool random_flip = false;

  std::vector<int64_t> widths = {16, 32, 64, 96};

  int64_t num_epochs = 3;
  int64_t batch_size = 128;
  double learning_rate = 4e-3;
  double weight_decay = 1e-2;
  double label_smoothing = 0.05;
  int64_t seed = 0;

  std::string output = "classifier.safetensors";
  bool json = false;

  static constexpr auto fields() {
    using O = ClassifierJobOptions;
    const auto rows = std::tuple{
        section("Data"),
        field("data", &O::data, "folder of pictures with a class each, IDX file, or a set such as fashion-mnist"),
        field("split", &O::split, "which part to learn from, where the set has parts"),
        field("test_split", &O::test_split, "which part to test with"),
        field("test_data", &O::test_data, "another folder to test with; default: --test-split of --data"),
        field("resolution", &O::resolution, "pixels: the shorter side is resized to it, then a square is cut"),
        field("image_mode", &O::image_mode, "colours of the pictures"),
        field("center_crop", &O::center_crop, "cut the middle square instead of a random one"),
        field("random_flip", &O::random_flip, "mirror each picture left to right with probability one half"),
        section("Network"),
        field("widths", &O::widths,
              "channels at the full resolution and after each halving; the last is the number of features"),
        section("Optimization"),
        field("num_epochs", &O::num_epochs, "passes over the data"),
        field("batch_size", &O::batch_size, "pictures a step"),
        field("learning_rate", &O::learning_rate, "peak learning rate; it rises in the first twentieth, then falls"),
        field("weight_decay", &O::weight_decay, "weight decay of AdamW"),
        field("label_smoothing", &O::label_smoothing, "share of the target spread over all classes, 0 to below 1"),
        field("seed", &O::seed, "decides initial weights, order and crops"),
        section("What it leaves behind"),
        field("output", &O::output, "file of the weights: what `unnoise evaluate --features FILE` takes"),
        field("json", &O::json, "print JSON instead of text"),
    };
    return std::tuple_cat(rows, machine_fields());
  }
};

}  // namespace unnoise
