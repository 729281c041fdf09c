// Every scheduler, one row each.
#include <fmt/format.h>

#include <array>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/scheduler.h"

namespace unnoise {

using SchedulerFactory = std::shared_ptr<const Scheduler>(const Json& config);
SchedulerFactory make_ddpm, make_ddim;

namespace {

struct Row {
  std::string_view name;
  std::string_view class_name;
  SchedulerFactory* make;
};

constexpr std::array kSchedulers{
    Row{"ddpm", "DDPMScheduler", make_ddpm},  // Ho et al. 2020
    Row{"ddim", "DDIMScheduler", make_ddim},  // Song et al. 2021
};

const Row& find_row(std::string_view name) {
  std::vector<std::string> known;
  for (const Row& row : kSchedulers) {
    if (row.name == name || row.class_name == name) return row;
    known.emplace_back(name.ends_with("Scheduler") ? row.class_name : row.name);
  }
  const std::string near = nearest_name(name, known);
  std::string list;
  for (const auto& one : known) list += (list.empty() ? "" : ", ") + one;
  throw usage_error(fmt::format("scheduler \"{}\" is not one of {}", name, list),
                    near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near));
}

}  // namespace

std::shared_ptr<const Scheduler> scheduler_from_config(const Json& config) {
  if (!config.is_object() || !config.contains("_class_name") || !config["_class_name"].is_string())
    throw data_error("scheduler config: expected a JSON object with \"_class_name\", such as \"DDPMScheduler\"");
  return make_scheduler(config["_class_name"].get<std::string>(), config);
}

std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const Json& config) {
  return find_row(name).make(config);
}

std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const Scheduler& like) {
  return make_scheduler(name, like.given_config());
}

std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const NoiseSchedule& noise) {
  return make_scheduler(name, to_json(noise.options()));
}

std::vector<std::string> scheduler_names() {
  std::vector<std::string> names;
  for (const Row& row : kSchedulers) names.emplace_back(row.name);
  return names;
}

}  // namespace unnoise
