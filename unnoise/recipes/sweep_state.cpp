#include "unnoise/recipes/sweep_state.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "unnoise/core/error.h"
#include "unnoise/recipes/recipe_library.h"

namespace unnoise {
namespace {

Json pairs_json(const Choice& choice) {
  Json json = Json::array();
  for (const auto& [setting, value] : choice) json.push_back({setting, value});
  return json;
}

Json run_json(const SweepRun& run) {
  Json scores = Json::array();
  for (const double score : run.scores) scores.push_back(std::isfinite(score) ? Json(score) : Json());
  return {{"folder", run.folder},     {"choice", pairs_json(run.choice)},
          {"step", run.step},         {"status", enum_name(run.status)},
          {"steps", run.steps},       {"scores", scores},
          {"seconds", run.seconds},   {"cpu_seconds", run.cpu_seconds},
          {"held_out", run.held_out}, {"peak_memory_bytes", run.peak_memory_bytes},
          {"error", run.error}};
}

SweepRun run_from_json(const Json& json) {
  SweepRun run;
  run.folder = json.at("folder");
  for (const Json& pair : json.at("choice")) run.choice.emplace_back(pair.at(0), pair.at(1));
  run.status = fields_detail::Value<SweepStatus>::from_json("status", json.at("status"));
  run.steps = json.at("steps");
  run.step = json.at("step");
  for (const Json& score : json.at("scores"))
    run.scores.push_back(score.is_null() ? std::numeric_limits<double>::quiet_NaN() : score.get<double>());
  run.held_out = json.at("held_out");
  run.seconds = json.at("seconds");
  run.cpu_seconds = json.value("cpu_seconds", 0.0);  // a sweep of an earlier version had none
  run.peak_memory_bytes = json.at("peak_memory_bytes");
  run.error = json.at("error");
  return run;
}

/// What decides a sweep, and not how far it is.
Json plan_json(const SweepState& state) {
  Json vary = Json::array();
  for (const auto& [setting, values] : state.variations) vary.push_back({{"setting", setting}, {"values", values}});
  return {{"recipe", to_json(state.recipe)}, {"vary", vary},
          {"halving", state.halving},        {"rank_by", state.rank_by},
          {"highest", state.highest},        {"held_out_images", state.held_out_images}};
}

}  // namespace

Json to_json(const SweepState& state) {
  Json json = plan_json(state);
  json["seconds"] = state.seconds;
  json["runs"] = Json::array();
  for (const SweepRun& run : state.runs) json["runs"].push_back(run_json(run));
  return json;
}

SweepState sweep_state_from_json(const Json& json, std::string_view where) {
  try {
    SweepState state;
    state.recipe = recipe_from_json(json.at("recipe"), where);
    for (const Json& vary : json.at("vary")) state.variations.push_back({vary.at("setting"), vary.at("values")});
    state.halving = json.at("halving");
    state.rank_by = json.at("rank_by");
    state.highest = json.at("highest");
    state.held_out_images = json.at("held_out_images");
    state.seconds = json.at("seconds");
    for (const Json& run : json.at("runs")) state.runs.push_back(run_from_json(run));
    return state;
  } catch (const nlohmann::json::exception& e) {
    throw data_error(fmt::format("{} is not the state of a sweep: {}", where, e.what()));
  }
}

SweepState new_sweep(const Recipe& recipe, const SweepOptions& options) {
  SweepState state;
  state.recipe = recipe;
  state.variations = parse_variations(options.vary);
  state.halving = options.halving;
  state.rank_by = options.rank_by;
  state.highest = options.highest;
  state.held_out_images = options.held_out_images;
  for (const Choice& choice : all_choices(state.variations)) {
    SweepRun run;
    run.folder = fmt::format("{:02}", state.runs.size() + 1);
    run.choice = choice;
    state.runs.push_back(run);
  }
  return state;
}

std::string difference(const SweepState& a, const SweepState& b) {
  const Json was = plan_json(a), now = plan_json(b);
  for (const auto& [key, value] : was.items())
    if (value != now.at(key)) return key;
  return "";
}

}  // namespace unnoise
