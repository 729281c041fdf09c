#include "unnoise/recipes/evaluation_summary.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

int64_t count_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

std::string word_at(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// "/home/me/pets/" is "pets" to others.
std::string last_part(const std::string& text) {
  const fs::path path = fs::path(text).lexically_normal();
  if (!path.is_absolute()) return text;
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

EvaluationSummary read_evaluation(const Json& json, std::string_view where) {
  EvaluationSummary evaluation;
  evaluation.numbers = quality_numbers(json);
  constexpr const char* kHint = "It is what unnoise evaluate --json prints.";
  if (evaluation.numbers.empty())
    throw data_error(fmt::format("{}: expected a measurement, found no number of one", where), kHint);
  evaluation.num_images = count_at(json, "num_images");
  if (evaluation.num_images <= 0)
    throw data_error(fmt::format("{}: \"num_images\" is missing: of how many pictures are these numbers?", where),
                     kHint);
  evaluation.num_reference = count_at(json, "num_reference");
  evaluation.data = last_part(word_at(json, "data"));
  evaluation.split = word_at(json, "split");
  evaluation.features = word_at(json, "features");
  evaluation.how = json.contains("samples") ? "" : word_at(json, "how");
  evaluation.copies = found_copies(json);
  return evaluation;
}

std::optional<EvaluationSummary> evaluation_in_log(const Json& record) {
  if (quality_numbers(record).empty()) return std::nullopt;
  EvaluationSummary evaluation = read_evaluation(record, "log.jsonl");
  evaluation.split = "train";
  evaluation.step = count_at(record, "step");
  return evaluation;
}

Json shareable_evaluation(const Json& json) {
  Json shareable = json;
  for (const char* key : {"model", "samples", "data"})
    if (json.contains(key) && json[key].is_string()) shareable[key] = last_part(json[key]);
  if (json.contains("samples")) shareable["how"] = "";
  return shareable;
}

std::string measured_pictures(const EvaluationSummary& e) {
  const std::string split = e.split == "train" ? "training " : e.split.empty() ? "" : e.split + " ";
  const auto pictures = [&](int64_t count) {
    return fmt::format("{} {}pictures{}", human_count(count), split, e.data.empty() ? "" : " of " + e.data);
  };
  if (e.is_likelihood()) return pictures(e.num_images);
  return fmt::format("{} drawn pictures beside {}", human_count(e.num_images), pictures(e.num_reference));
}

}  // namespace unnoise
