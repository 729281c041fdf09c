#include "unnoise/recipes/train_card.h"

#include <ATen/Parallel.h>

#include "unnoise/core/version.h"
#include "unnoise/data/content_hash.h"
#include "unnoise/io/model_card.h"
#include "unnoise/recipes/card_text.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

std::string data_name(const TrainOptions& o) {
  const fs::path path = fs::path(o.dataset_name.value_or(o.train_data_dir.value_or(""))).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

/// What the data's own card states; for a set that comes with a name, its authors.
std::optional<std::string> data_license(const TrainOptions& o) {
  const std::string source = o.dataset_name.value_or(o.train_data_dir.value_or(""));
  const std::string stated = fs::is_directory(source) ? read_license(source) : "";
  if (!stated.empty()) return stated;
  return source == "fashion-mnist" ? std::optional<std::string>("mit") : std::nullopt;
}

/// Costs a decoding of every picture: once a run, and only where training has read them all at least once.
std::optional<std::string> data_hash(const fs::path& folder, const TrainPlan& plan) {
  if (fs::is_regular_file(folder / "run.json")) {
    const Json saved = read_json(folder / "run.json");
    if (saved.value("data_hash", Json()).is_string() && saved.value("pictures", Json()) == plan.dataset->size())
      return saved["data_hash"].get<std::string>();
  }
  if (plan.total_updates < plan.accumulation.updates_per_epoch()) return std::nullopt;
  return content_hash(*plan.dataset);
}

}  // namespace

void save_training_card(const fs::path& folder, const TrainOptions& options, const TrainPlan& plan) {
  const RunFacts run{.data = data_name(options),
                     .pictures = plan.dataset->size(),
                     .data_hash = data_hash(folder, plan),
                     .data_license = data_license(options),
                     .version = kVersion,
                     .device = plan.device.is_cpu() ? "processor" : plan.device.str(),
                     .threads = at::get_num_threads()};
  Json saved = to_json(run);
  saved["made_with"] = made_with();
  write_json(folder / "run.json", saved);
  const CardFacts facts = read_card_facts(folder);
  const std::string license = options.license.value_or(read_license(folder));
  save_model_card(folder, model_card(facts, options.hub_model_id.value_or(facts.name), license));
}

}  // namespace unnoise
