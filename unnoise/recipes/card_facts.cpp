#include "unnoise/recipes/card_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/logging/run_log.h"

namespace unnoise {
namespace {

constexpr double kLossMemory = 0.95;  ///< as the progress line smooths it

/// Names in logs and reports that are not results of an evaluation.
constexpr std::array<std::string_view, 18> kNoMetrics = {"step",
                                                         "epoch",
                                                         "loss",
                                                         "lr",
                                                         "grad_norm",
                                                         "ema_decay",
                                                         "loss_scale",
                                                         "epoch_mean_loss",
                                                         "seconds",
                                                         "cpu_seconds",
                                                         "rtol",
                                                         "num_images",
                                                         "model_calls",
                                                         "data_wait_seconds",
                                                         "images_per_second",
                                                         "peak_memory_bytes",
                                                         "seed",
                                                         "threads"};

void collect(const Json& json, const std::string& prefix, std::map<std::string, QualityNumber>& metrics) {
  for (const auto& [key, value] : json.items()) {
    if (std::find(kNoMetrics.begin(), kNoMetrics.end(), key) != kNoMetrics.end()) continue;
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_number()) metrics[name] = {{value.get<double>(), std::nan(""), std::nan("")}};
    if (value.is_object()) collect(value, name, metrics);
  }
}

void read_log(const fs::path& log, CardFacts& facts) {
  if (!fs::is_regular_file(log)) return;
  for (const Json& record : read_run_log(log)) {
    facts.steps = std::max(facts.steps, record.at("step").get<int64_t>());
    facts.seconds += record.value("seconds", 0.0);
    if (record.contains("epoch")) facts.epochs = std::max(facts.epochs, record.at("epoch").get<int64_t>() + 1);
    if (record.contains("loss") && record.at("loss").is_number()) {
      const double loss = record.at("loss").get<double>();
      facts.loss = facts.loss ? kLossMemory * *facts.loss + (1 - kLossMemory) * loss : loss;
    }
    const bool is_training = record.contains("loss") || record.contains("epoch_mean_loss");
    if (!is_training) collect_metrics(record, facts.metrics);  // a record of an evaluation
  }
}

/// The newest grid of samples and the loss curve.
std::vector<std::string> find_pictures(const fs::path& model) {
  std::vector<std::string> pictures;
  std::string newest;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(model / "samples", ec))
    if (const auto name = entry.path().filename().string(); entry.path().extension() == ".png" && name > newest)
      newest = name;
  if (fs::is_regular_file(model / "grid.png")) {
    pictures.push_back("grid.png");
  } else if (!newest.empty()) {
    pictures.push_back("samples/" + newest);
  }
  if (fs::is_regular_file(model / "loss.svg")) pictures.push_back("loss.svg");
  return pictures;
}

Json json_or_empty(const fs::path& path) { return fs::is_regular_file(path) ? read_json(path) : Json::object(); }

}  // namespace

void collect_metrics(const Json& json, std::map<std::string, QualityNumber>& metrics) {
  const auto measured = quality_numbers(json);
  if (measured.empty()) return collect(json, "", metrics);
  for (const auto& [name, number] : measured) metrics[name] = number;
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
  collect_metrics(json_or_empty(model / "result.json").value("evaluation", Json::object()), facts.metrics);
  collect_metrics(json_or_empty(model / "evaluation.json"), facts.metrics);
  facts.pictures = find_pictures(model);
  return facts;
}

}  // namespace unnoise
