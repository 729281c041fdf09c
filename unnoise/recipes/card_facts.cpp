#include "unnoise/recipes/card_facts.h"

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/logging/run_log.h"
#include "unnoise/recipes/run_folder.h"
#include "unnoise/recipes/run_summary.h"

namespace unnoise {
namespace {

constexpr double kLossMemory = 0.95;  ///< as the progress line smooths it
constexpr const char* kEvaluations = "evaluation.json";

void read_log(const fs::path& log, CardFacts& facts) {
  if (!fs::is_regular_file(log)) return;
  std::optional<EvaluationSummary> last;
  for (const Json& record : read_run_log(log)) {
    facts.steps = std::max(facts.steps, record.at("step").get<int64_t>());
    facts.seconds += record.value("seconds", 0.0);
    if (record.contains("epoch")) facts.epochs = std::max(facts.epochs, record.at("epoch").get<int64_t>() + 1);
    if (record.contains("loss") && record.at("loss").is_number()) {
      const double loss = record.at("loss").get<double>();
      facts.loss = facts.loss ? kLossMemory * *facts.loss + (1 - kLossMemory) * loss : loss;
    }
    if (auto evaluation = evaluation_in_log(record)) last = std::move(evaluation);
  }
  if (!last) return;
  if (facts.run) last->data = facts.run->data;
  if (last->step == facts.steps) last->step = 0;  // of the finished model
  add_evaluation(facts, std::move(*last));
}

Json json_or_empty(const fs::path& path) { return fs::is_regular_file(path) ? read_json(path) : Json::object(); }

/// A list; a file with one measurement is one of these.
Json saved_evaluations(const fs::path& model) {
  if (!fs::is_regular_file(model / kEvaluations)) return Json::array();
  Json saved = read_json(model / kEvaluations);
  return saved.is_array() ? saved : Json::array({saved});
}

}  // namespace

void add_evaluation(CardFacts& facts, EvaluationSummary evaluation) {
  const auto is_renewed = [&](const auto& old) { return evaluation.numbers.contains(old.first); };
  for (auto& earlier : facts.evaluations) std::erase_if(earlier.numbers, is_renewed);
  std::erase_if(facts.evaluations, [](const EvaluationSummary& earlier) { return earlier.numbers.empty(); });
  facts.evaluations.push_back(std::move(evaluation));
}

void save_evaluation(const fs::path& model, const Json& evaluation) {
  Json all = Json::array();
  for (const Json& earlier : saved_evaluations(model))
    if (earlier.contains("bits_per_dim") != evaluation.contains("bits_per_dim")) all.push_back(earlier);
  all.push_back(shareable_evaluation(evaluation));
  write_json(model / kEvaluations, all);
}

CardFacts read_card_facts(const fs::path& model) {
  CardFacts facts;
  const fs::path named = fs::absolute(model).lexically_normal();
  facts.name = (named.has_filename() ? named : named.parent_path()).filename().string();
  facts.unet = load_component_config(model, "unet");
  facts.scheduler = load_component_config(model, "scheduler", "scheduler_config.json");
  for (const auto& [name, tensor] : load_component_weights(model, "unet")) facts.parameters += tensor.numel();
  facts.options = json_or_empty(model / "options.json");
  if (fs::is_regular_file(model / "run.json")) {
    facts.run.emplace();
    assign_json(*facts.run, read_json(model / "run.json"), (model / "run.json").string(), UnknownKeys::ignore);
  }
  read_log(model / "log.jsonl", facts);
  const Json result = json_or_empty(model / "result.json");
  facts.held_out = held_out_from_json(result.value("held_out", Json()));
  if (const Json measured = result.value("evaluation", Json::object()); !measured.empty())
    add_evaluation(facts, read_evaluation(measured, (model / "result.json").string()));
  for (const Json& measured : saved_evaluations(model))
    add_evaluation(facts, read_evaluation(measured, (model / kEvaluations).string()));
  if (const auto grid = newest_grid(model)) facts.samples = grid->lexically_relative(model).generic_string();
  if (fs::is_regular_file(model / "loss.svg")) facts.loss_curve = "loss.svg";
  return facts;
}

}  // namespace unnoise
