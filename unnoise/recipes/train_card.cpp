#include "unnoise/recipes/train_card.h"

#include <ATen/Parallel.h>

#include "unnoise/core/version.h"
#include "unnoise/data/content_hash.h"
#include "unnoise/hub/cache.h"
#include "unnoise/io/model_card.h"
#include "unnoise/recipes/card_text.h"
#include "unnoise/recipes/data_licence.h"
#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

std::string trained_on(const TrainOptions& o) { return o.dataset_name.value_or(o.train_data_dir.value_or("")); }

std::string data_name(const TrainOptions& o) {
  const fs::path path = fs::path(trained_on(o)).lexically_normal();
  if (const auto name = name_of_snapshot(path)) return name->repository.name;
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

/// The sets that come with a name, as the hub calls them, and those that came from a hub.
std::optional<std::string> data_repository(const TrainOptions& o) {
  if (const auto name = name_of_snapshot(trained_on(o))) return name->repository.name;
  return trained_on(o) == "fashion-mnist" ? std::optional<std::string>("zalando-datasets/fashion_mnist") : std::nullopt;
}

std::optional<std::string> if_any(std::string text) {
  return text.empty() ? std::nullopt : std::optional(std::move(text));
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
  const DataLicence licence = data_licence(trained_on(options));
  const RunFacts run{.data = data_name(options),
                     .pictures = plan.dataset->size(),
                     .data_hash = data_hash(folder, plan),
                     .data_license = if_any(licence.licence),
                     .data_credit = if_any(licence.credit),
                     .data_repo = data_repository(options),
                     .version = kVersion,
                     .device = plan.device.is_cpu() ? "processor" : plan.device.str(),
                     .threads = at::get_num_threads()};
  Json saved = to_json(run);
  saved["made_with"] = made_with();
  write_json(folder / "run.json", saved);
  renew_training_card(folder, options);
}

void renew_training_card(const fs::path& folder, const TrainOptions& options) {
  const CardFacts facts = read_card_facts(folder);
  const std::string license = options.license.value_or(read_license(folder));
  save_model_card(folder, model_card(facts, options.hub_model_id.value_or(facts.name), license));
}

}  // namespace unnoise
