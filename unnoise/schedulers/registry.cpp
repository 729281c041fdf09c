// Every scheduler, one row each.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/samplers.h"
#include "unnoise/schedulers/scheduler.h"

namespace unnoise {

using SchedulerFactory = std::shared_ptr<const Scheduler>(const Json& config);
// The table of abar at whole timesteps
SchedulerFactory make_ddpm, make_ddim;

namespace {

struct Row {
  SamplerInfo info;
  SchedulerFactory* make;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      // The table of abar at whole timesteps
      {{"ddpm", "DDPMScheduler", true, "Ho et al. 2020, algorithm 2", "-", true, "N", 1000,
        "the original; every training timestep, noise at each"},
       make_ddpm},
      {{"ddim", "DDIMScheduler", true, "Song et al. 2021, eq. 12", "1", false, "N", 50,
        "deterministic with few steps; what inversion and editing build on"},
       make_ddim},
      // k-diffusion: steps in sigma
      // DPM-Solver and its kin: steps in lambda
      // EDM, consistency models, SDEs
      // Flow matching
      // Beyond diffusers
  };
  return all;
}

/// "DPM++ 2M Karras" and "dpm++2mkarras" are one.
std::string folded(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != ' ' && c != '-' && c != '_')
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

const Row& row_of(const SamplerInfo& info) {
  return *std::find_if(rows().begin(), rows().end(), [&](const Row& row) { return row.info.name == info.name; });
}

}  // namespace

const std::vector<SamplerInfo>& samplers() {
  static const std::vector<SamplerInfo> infos = [] {
    std::vector<SamplerInfo> out;
    for (const Row& row : rows()) out.push_back(row.info);
    return out;
  }();
  return infos;
}

FoundSampler find_sampler(std::string_view name) {
  for (const SamplerInfo& info : samplers())
    if (info.name == name || info.class_name == name) return {&info, Json::object()};
  for (const SamplerAlias& alias : sampler_aliases())
    if (folded(alias.alias) == folded(name)) return {find_sampler(alias.name).info, Json::parse(alias.config)};

  const bool is_class = name.ends_with("Scheduler");
  std::vector<std::string> known;
  for (const SamplerInfo& info : samplers()) known.emplace_back(is_class ? info.class_name : info.name);
  std::string list;
  for (const auto& one : known) list += (list.empty() ? "" : ", ") + one;
  if (!is_class)
    for (const SamplerAlias& alias : sampler_aliases()) known.emplace_back(alias.alias);
  const std::string near = nearest_name(name, known);
  throw usage_error(fmt::format("scheduler \"{}\" is not one of {}", name, list),
                    near.empty() ? "`unnoise samplers` lists them." : fmt::format("Did you mean \"{}\"?", near));
}

std::shared_ptr<const Scheduler> scheduler_from_config(const Json& config) {
  if (!config.is_object() || !config.contains("_class_name") || !config["_class_name"].is_string())
    throw data_error("scheduler config: expected a JSON object with \"_class_name\", such as \"DDPMScheduler\"");
  return make_scheduler(config["_class_name"].get<std::string>(), config);
}

std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const Json& config) {
  const auto [info, on_top] = find_sampler(name);
  const auto make = row_of(*info).make;
  if (on_top.empty()) return make(config);
  Json merged = config.is_null() ? Json::object() : config;
  if (merged.is_object()) merged.update(on_top);
  return make(merged);
}

std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const Scheduler& like) {
  return make_scheduler(name, like.given_config());
}

std::shared_ptr<const Scheduler> make_scheduler(std::string_view name, const NoiseSchedule& noise) {
  return make_scheduler(name, to_json(noise.options()));
}

std::vector<std::string> scheduler_names() {
  std::vector<std::string> names;
  for (const SamplerInfo& info : samplers()) names.emplace_back(info.name);
  return names;
}

}  // namespace unnoise
