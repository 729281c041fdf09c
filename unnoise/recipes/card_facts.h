// What a model folder tells about itself: for its card.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/recipes/evaluation_summary.h"
#include "unnoise/recipes/held_out_eps_error.h"

namespace unnoise {

/// What training knew and nothing else in the folder tells: run.json.
struct RunFacts {
  std::string data;  ///< name of the set: its folder's last part, or "user/name"
  int64_t pictures = 0;
  std::optional<std::string> data_hash;     ///< of the pixels, see data/content_hash.h
  std::optional<std::string> data_license;  ///< as the data's own card or package says
  std::optional<std::string> data_credit;   ///< whose pictures they are
  std::optional<std::string> data_repo;     ///< "user/name" of the data on a hub
  std::string version;                      ///< of unnoise
  std::string device;
  int64_t threads = 0;

  static constexpr auto fields() {
    using O = RunFacts;
    return std::tuple{
        field("data", &O::data, "name of the pictures' folder or set"),
        field("pictures", &O::pictures, "how many"),
        field("data_hash", &O::data_hash, "of their pixels"),
        field("data_license", &O::data_license, "their licence"),
        field("data_credit", &O::data_credit, "whose they are"),
        field("data_repo", &O::data_repo, "their name on a hub"),
        field("version", &O::version, "of unnoise"),
        field("device", &O::device, "that it ran on"),
        field("threads", &O::threads, "of the processor"),
    };
  }
};

struct CardFacts {
  std::string name;  ///< of the folder
  Json unet = Json::object();
  Json scheduler = Json::object();
  int64_t parameters = 0;

  // Of a training run; absent for a model that came from elsewhere.
  std::optional<RunFacts> run;
  Json options = Json::object();  ///< options.json
  int64_t steps = 0;
  int64_t epochs = 0;
  double seconds = 0;
  std::optional<double> loss;  ///< smoothed, at the end
  std::optional<HeldOutEpsError> held_out;
  std::string samples;     ///< "grid.png" or "samples/epoch-0030.png"; "" = there is none
  std::string loss_curve;  ///< "loss.svg"; "" = there is none

  /// The last line of the log that measures, result.json, evaluation.json: each number once, from the last of these.
  std::vector<EvaluationSummary> evaluations;
};

/// Error::data when the folder holds no UNet2DModel.
CardFacts read_card_facts(const fs::path& model);

/// Takes a measurement over the earlier ones of the same names.
void add_evaluation(CardFacts& facts, EvaluationSummary evaluation);

/// evaluation.json: what was measured after the run, for the next card. A likelihood and a comparison of pictures stand
/// beside each other.
void save_evaluation(const fs::path& model, const Json& evaluation);

}  // namespace unnoise
