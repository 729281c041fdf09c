// Write, renew or print the card (README.md) of a model folder.
#pragma once

#include <optional>
#include <string>
#include <tuple>

#include "unnoise/core/fields.h"

namespace unnoise {

struct CardOptions {
  std::string model;
  std::optional<std::string> name;
  std::optional<std::string> license;
  std::optional<std::string> evaluation;
  bool force = false;
  bool print = false;

  static constexpr auto fields() {
    using O = CardOptions;
    return std::tuple{
        field("model", &O::model, "model folder; one that unnoise train wrote says most"),
        field("name", &O::name, "what others load it by: USER/NAME; default: the folder's name"),
        field("license", &O::license,
              "licence of the model: apache-2.0, mit, cc-by-4.0, ...; default: what its card or run states"),
        field("evaluation", &O::evaluation, "file with what unnoise evaluate --json printed, for its table"),
        field("force", &O::force, "write it even over a card that a person wrote or changed"),
        field("print", &O::print, "only print it"),
    };
  }
};

/// Writes README.md into the folder and gives the text to print: the file's name, or with `print` the card.
/// Error::usage when a card is there that was not made here or was changed since, unless `force`.
std::string write_card(const CardOptions& options);

}  // namespace unnoise
