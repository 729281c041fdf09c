// Look at a model folder: the network's tree, its size and cost, the scheduler, the licence.
#pragma once

#include <optional>
#include <string>
#include <tuple>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/hub_options.h"

namespace unnoise {

struct InfoOptions : HubOptions {
  std::string model;
  std::optional<int64_t> height;
  std::optional<int64_t> width;
  bool json = false;

  static constexpr auto fields() {
    using O = InfoOptions;
    const auto rows = std::tuple{
        field("model", &O::model,
              "model folder, or USER/NAME on the hub, or a network's name (butterflies, mnist, cifar10, script) or "
              "config.json"),
        field("height", &O::height, "pixels the shapes and costs are for; default: the model's size"),
        field("width", &O::width, "pixels the shapes and costs are for; default: the model's size"),
        field("json", &O::json, "print JSON instead of a table"),
    };
    return std::tuple_cat(rows, hub_fields());
  }
};

/// The report as text (or JSON), ready to print.
std::string info(const InfoOptions& options);

}  // namespace unnoise
