#include "unnoise/recipes/quality_numbers.h"

#include <fmt/format.h>

#include <cmath>

namespace unnoise {
namespace {

/// NaN for what is no number: an interval's end may be null.
double number_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : std::nan("");
}

}  // namespace

std::map<std::string, QualityNumber> quality_numbers(const Json& evaluation) {
  std::map<std::string, QualityNumber> numbers;
  if (!evaluation.is_object()) return numbers;
  const auto add = [&](const std::string& name, const Json& from, const char* key) {
    const double value = number_in(from, key);
    if (!std::isfinite(value)) return;
    const double counted = number_in(from.contains("num_images") ? from : evaluation, "num_images");
    numbers[name] = {{value, number_in(from, "low"), number_in(from, "high")},
                     std::isfinite(counted) ? std::llround(counted) : 0};
  };
  const Json metrics = evaluation.value("metrics", Json::object());
  for (const auto& [name, metric] : metrics.items())
    if (metric.is_object()) add(name, metric, "value");
  const Json copying = evaluation.value("copying", Json::object());
  for (const char* space : {"pixels", "features"})
    if (copying.contains(space)) add(fmt::format("copied_{}", space), copying.at(space), "flagged");
  add("bits_per_dim", evaluation, "bits_per_dim");
  if (const double error = number_in(evaluation, "standard_error"); numbers.contains("bits_per_dim") && error >= 0)
    numbers["bits_per_dim"].estimate = estimate(numbers["bits_per_dim"].estimate.value, error, -HUGE_VAL, HUGE_VAL);
  return numbers;
}

Json to_json(const std::map<std::string, QualityNumber>& numbers) {
  const auto finite = [](double value) { return std::isfinite(value) ? Json(value) : Json(); };
  Json metrics = Json::object();
  for (const auto& [name, number] : numbers)
    metrics[name] = {{"value", number.estimate.value},
                     {"low", finite(number.estimate.low)},
                     {"high", finite(number.estimate.high)},
                     {"num_images", number.num_images}};
  return {{"metrics", metrics}};
}

std::optional<bool> found_copies(const Json& evaluation) {
  if (!evaluation.is_object()) return std::nullopt;
  const Json copying = evaluation.value("copying", Json::object());
  const Json verdict = copying.is_object() ? copying.value("copies", Json()) : Json();
  return verdict.is_boolean() ? std::optional(verdict.get<bool>()) : std::nullopt;
}

std::string estimate_text(const Estimate& e) {
  const std::string value = fmt::format("{:.4g}", e.value);
  return std::isfinite(e.low) && std::isfinite(e.high) ? fmt::format("{} ({:.4g} to {:.4g})", value, e.low, e.high)
                                                       : value;
}

}  // namespace unnoise
