// The numbers of an evaluation, read back from its JSON: `unnoise evaluate --json`, a line of log.jsonl and the
// "evaluation" of result.json have one shape.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "unnoise/core/json.h"
#include "unnoise/metrics/bootstrap.h"

namespace unnoise {

/// A number with its interval (NaN where it has none) and of how many pictures it was measured.
struct QualityNumber {
  Estimate estimate;
  int64_t num_images = 0;
};

/// "fd_fmnist", "precision", "copied_pixels", "copied_features", "bits_per_dim" ... by name; none of what holds no
/// evaluation.
std::map<std::string, QualityNumber> quality_numbers(const Json& evaluation);
/// {"metrics": {"fd_fmnist": {"value", "low", "high", "num_images"}, ...}}, which quality_numbers() reads back.
Json to_json(const std::map<std::string, QualityNumber>& numbers);
/// The verdict on copying; nothing where it was not looked for.
std::optional<bool> found_copies(const Json& evaluation);

/// "0.07 (0.05 to 0.1)"; the value alone where there is no interval.
std::string estimate_text(const Estimate& estimate);

}  // namespace unnoise
