// What a model folder tells about itself: for its card.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/core/files.h"
#include "unnoise/core/json.h"
#include "unnoise/recipes/quality_numbers.h"

namespace unnoise {

/// What training knew and nothing else in the folder tells: run.json.
struct RunFacts {
  std::string data;  ///< name of the set: its folder's last part
  int64_t pictures = 0;
  std::optional<std::string> data_hash;     ///< of the pixels, see data/content_hash.h
  std::optional<std::string> data_license;  ///< as the data's own card or package says
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
  std::optional<double> loss;             ///< smoothed, at the end
  std::map<std::string, QualityNumber> metrics;  ///< of the log, result.json, evaluation.json: the last of each
  std::vector<std::string> pictures;      ///< "samples/epoch-0030.png", "loss.svg", where they are there
};

/// Error::data when the folder holds no UNet2DModel.
CardFacts read_card_facts(const fs::path& model);

/// What an evaluation of `unnoise evaluate` measured; of another object its (nested) numbers that are results, not
/// settings or times: "accuracy", "fd.value".
void collect_metrics(const Json& json, std::map<std::string, QualityNumber>& metrics);

}  // namespace unnoise
