// What a measurement of a model says, in one value, with what it was measured on: for cards.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "unnoise/core/json.h"
#include "unnoise/recipes/quality_numbers.h"

namespace unnoise {

struct EvaluationSummary {
  std::map<std::string, QualityNumber> numbers;
  int64_t num_images = 0;      ///< drawn ones; of bits_per_dim, those whose likelihood it is
  int64_t num_reference = 0;   ///< that the drawn ones were compared with; 0 = none
  std::string data;            ///< whose pictures: "fashion-mnist", "user/name"; "" = not said
  std::string split;           ///< "train", "test"; "" = not said
  std::string features;        ///< "fmnist"; "" = none
  std::string how;             ///< "DDIMScheduler, 50 steps, seed 0"; "" = not said
  std::optional<bool> copies;  ///< whether it hands out training pictures; nothing = was not looked for
  int64_t step = 0;            ///< of the training; 0 = of the finished model

  bool is_likelihood() const { return num_reference == 0; }
};

/// Of what `unnoise evaluate --json` printed, with --bits-per-dim or without. Error::data, naming `where`, for other
/// JSON, or when it does not say how many pictures were measured.
EvaluationSummary read_evaluation(const Json& json, std::string_view where);

/// Of a line of log.jsonl; nothing for lines that measure nothing.
std::optional<EvaluationSummary> evaluation_in_log(const Json& record);

/// The same JSON without what is nobody's business: paths of this machine.
Json shareable_evaluation(const Json& json);

/// In words: "500 drawn pictures beside 60,000 training pictures of fashion-mnist".
std::string measured_pictures(const EvaluationSummary& evaluation);

}  // namespace unnoise
