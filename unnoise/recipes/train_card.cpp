#include "unnoise/recipes/train_card.h"

#include <ATen/Parallel.h>

#include "unnoise/core/version.h"
#include "unnoise/io/model_card.h"
#include "unnoise/recipes/card_text.h"

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

}  // namespace

void save_training_card(const fs::path& folder, const TrainOptions& options, const TrainPlan& plan) {
  const RunFacts run{.data = data_name(options),
                     .pictures = plan.dataset->size(),
                     .data_hash = {},
                     .data_license = data_license(options),
                     .version = kVersion,
                     .device = plan.device.is_cpu() ? "processor" : plan.device.str(),
                     .threads = at::get_num_threads()};
  write_json(folder / "run.json", to_json(run));
  const CardFacts facts = read_card_facts(folder);
  const std::string license = options.license.value_or(read_license(folder));
  save_model_card(folder, model_card(facts, options.hub_model_id.value_or(facts.name), license));
}

}  // namespace unnoise
