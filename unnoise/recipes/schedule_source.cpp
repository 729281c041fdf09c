#include "unnoise/recipes/schedule_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/recipes/scheduler_settings.h"
#include "unnoise/schedulers/samplers.h"

namespace unnoise {
namespace {

std::shared_ptr<const Scheduler> load_scheduler(const fs::path& path) {
  const Json config =
      fs::is_regular_file(path) ? read_json(path) : load_component_config(path, "scheduler", "scheduler_config.json");
  try {
    return scheduler_from_config(config);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    throw data_error(fmt::format("\"{}\": {}", path.string(), error.message()), error.hint());
  }
}

/// "models/cats/" and "models/cats/scheduler_config.json" are called cats.
std::string name_of(const fs::path& path) {
  fs::path folder = fs::weakly_canonical(path);
  if (fs::is_regular_file(folder)) folder = folder.parent_path();
  if (folder.filename() == "scheduler") folder = folder.parent_path();
  return folder.filename().string();
}

bool is_beta_schedule(const std::string& name) {
  const auto names = enum_choices<BetaSchedule>();
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_path(const std::string& name) { return name.find('/') != std::string::npos || fs::exists(name); }

Error unknown_name(const std::string& name) {
  const auto betas = enum_choices<BetaSchedule>();
  std::vector<std::string> known = betas;
  for (const auto& info : samplers()) known.emplace_back(info.name);
  for (const auto& alias : sampler_aliases()) known.emplace_back(alias.alias);
  const std::string near = nearest_name(name, known);
  return usage_error(
      fmt::format("\"{}\" is no schedule: expected one of {}, a sampler, or a model folder", name,
                  fmt::join(betas, ", ")),
      near.empty() ? "\"unnoise samplers\" lists the samplers." : fmt::format("Did you mean \"{}\"?", near));
}

std::shared_ptr<const Scheduler> make_named(const std::string& name, const std::shared_ptr<const Scheduler>& model) {
  if (model && name == "as-saved") return model;
  if (is_beta_schedule(name)) return make_scheduler("ddpm", Json{{"beta_schedule", name}});
  try {
    find_sampler(name);
  } catch (const Error&) {
    if (is_path(name)) return load_scheduler(name);
    throw unknown_name(name);
  }
  return model ? make_scheduler(name, *model) : make_scheduler(name);
}

std::shared_ptr<const Scheduler> with_settings(std::shared_ptr<const Scheduler> scheduler,
                                               const ScheduleSource& source) {
  Json settings = scheduler_settings(*scheduler, source.scheduler_options);
  const auto set = [&](const std::string& key, std::string_view flag, const auto& value) {
    if (!value) return;
    check_scheduler_key(*scheduler, key, flag);
    settings[key] = *value;
  };
  set("num_train_timesteps", "--num-train-timesteps", source.num_train_timesteps);
  set("beta_start", "--beta-start", source.beta_start);
  set("beta_end", "--beta-end", source.beta_end);
  set("rescale_betas_zero_snr", "--rescale-betas-zero-snr", source.rescale_betas_zero_snr);
  if (settings.empty()) return scheduler;
  Json config = scheduler->given_config();
  config.update(settings);
  return make_scheduler(scheduler->class_name(), config);
}

}  // namespace

std::vector<NamedSchedule> find_schedules(const ScheduleSource& source) {
  const auto model = source.model ? load_scheduler(*source.model) : nullptr;
  std::vector<NamedSchedule> found;
  for (const std::string& name : source.names) {
    auto scheduler = make_named(name, model);
    const bool is_model = !is_beta_schedule(name) && is_path(name);
    found.push_back({is_model ? name_of(name) : name, with_settings(std::move(scheduler), source)});
  }
  if (source.names.empty() && model) found.push_back({name_of(*source.model), with_settings(model, source)});
  return found;
}

}  // namespace unnoise
