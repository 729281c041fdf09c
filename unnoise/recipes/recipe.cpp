#include "unnoise/recipes/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "unnoise/core/error.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/models/unet2d_options.h"
#include "unnoise/recipes/evaluate.h"

namespace unnoise {
namespace {

constexpr std::array<std::string_view, 9> kSections = {"name",   "description", "data",           "network",  "train",
                                                       "sample", "evaluate",    "budget_minutes", "made_with"};

using Names = std::set<std::string>;

template <HasFields T>
Names places_and(Names others) {
  others.merge(field_names<T>(FieldRole::place));
  return others;
}

// Options that say where to and not what, or that another section of the recipe holds.
const Names& not_train() {
  static const Names names = places_and<TrainOptions>(
      {"train_data_dir", "dataset_name", "model_config_name_or_path", "num_processes", "recipe"});
  return names;
}
const Names& not_sample() {
  static const Names names = places_and<SampleOptions>({"model", "variant"});
  return names;
}
const Names& not_evaluate() {
  static const Names names = places_and<EvaluateOptions>({"model", "json"});
  return names;
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kAliases = {{
    {"lr", "learning_rate"},
    {"batch", "train_batch_size"},
    {"batch_size", "train_batch_size"},
    {"steps", "max_train_steps"},
    {"epochs", "num_epochs"},
    {"channels", "block_out_channels"},
    {"layers", "layers_per_block"},
    {"model", "network"},
}};

template <class List>
bool holds(const List& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void refuse_keys(const Json& section, const Names& refused, std::string_view where, std::string_view why) {
  for (const auto& [key, value] : section.items())
    if (refused.contains(key))
      throw usage_error(fmt::format("{}: \"{}\" is no part of a recipe's section", where, key), std::string(why));
}

/// The section as it was, after T has taken it.
template <HasFields T>
Json checked_section(const Json& section, const Names& refused, std::string_view where, std::string_view why) {
  if (section.is_object()) refuse_keys(section, refused, where, why);
  T options;
  assign_json(options, section, where);
  return section;
}

Json checked_network(const Json& network, std::string_view where) {
  if (network.is_null() || network.is_string()) return network;
  if (!network.is_object())
    fields_detail::fail_type(where, "a preset's name, or an object with keys of a UNet2DModel", network.dump());
  Json keys = network;
  if (keys.contains("preset") && !keys["preset"].is_string())
    fields_detail::fail_type(fmt::format("{}: preset", where), "text", keys["preset"].dump());
  keys.erase("preset");
  UNet2DOptions options;
  assign_json(options, keys, where);
  return network;
}

Json checked_versions(const Json& made_with, std::string_view where) {
  if (!made_with.is_object()) fields_detail::fail_type(where, "an object with versions", made_with.dump());
  for (const auto& [key, value] : made_with.items())
    fields_detail::Value<std::string>::from_json(fmt::format("{}: {}", where, key), value);
  return made_with;
}

std::string with_underscores(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

std::vector<std::string> names_of_settings() {
  std::vector<std::string> names = {"network"};
  for (const auto& [alias, name] : kAliases) names.emplace_back(alias);
  for (const auto& name : field_names<TrainOptions>())
    if (!not_train().contains(name)) names.push_back(name);
  for (const auto& name : field_names<UNet2DOptions>()) names.push_back(name);
  for (const auto& name : field_names<SampleOptions>())
    if (!not_sample().contains(name)) names.push_back("sample." + name);
  return names;
}

/// The JSON that a flag's text stands for, by the type of T's member.
template <HasFields T>
Json typed(const std::string& name, const std::string& text) {
  T options;
  for (const OptionRow& row : option_rows(options))
    if (row.name == name) row.set(text);
  return to_json(options).at(name);
}

/// Text of a setting of the network: JSON where it is some, else a word.
Json network_value(const std::string& text) {
  const Json parsed = Json::parse(text, nullptr, false);
  return parsed.is_discarded() ? Json(text) : parsed;
}

}  // namespace

Recipe recipe_from_json(const Json& json, std::string_view where) {
  if (!json.is_object()) fields_detail::fail_type(where, "a recipe, which is a JSON object", json.dump());
  const std::vector<std::string> known(kSections.begin(), kSections.end());
  for (const auto& [key, value] : json.items())
    if (!holds(kSections, key)) fields_detail::fail_unknown(where, key, known);
  const auto below = [&](std::string_view key) { return fmt::format("{}: {}", where, key); };
  const auto text = [&](const char* key) {
    return json.contains(key) ? fields_detail::Value<std::string>::from_json(below(key), json.at(key)) : std::string();
  };
  Recipe recipe;
  recipe.name = text("name");
  recipe.description = text("description");
  if (!json.contains("data"))
    throw usage_error(fmt::format("{}: a recipe needs \"data\"", where), "\"data\": {\"source\": \"fashion-mnist\"}");
  assign_json(recipe.data, json.at("data"), below("data"));
  if (recipe.data.source.empty())
    throw usage_error(fmt::format("{}: data: \"source\" is missing", where),
                      "A folder of pictures, or a set known by name.");
  recipe.network = checked_network(json.value("network", Json()), below("network"));
  recipe.train = checked_section<TrainOptions>(
      json.value("train", Json::object()), not_train(), below("train"),
      "Data and network have sections of their own; where to write is said when it runs (--output-dir).");
  recipe.sample = checked_section<SampleOptions>(json.value("sample", Json::object()), not_sample(), below("sample"),
                                                 "The run's own model is drawn with, into the run's folder.");
  recipe.evaluate = checked_section<EvaluateOptions>(json.value("evaluate", Json::object()), not_evaluate(),
                                                     below("evaluate"), "The run's own model is measured.");
  if (json.contains("budget_minutes")) {
    recipe.budget_minutes = fields_detail::Value<double>::from_json(below("budget_minutes"), json.at("budget_minutes"));
    if (!(*recipe.budget_minutes > 0))
      throw usage_error(fmt::format("{}: expected above 0, found {}", below("budget_minutes"), *recipe.budget_minutes));
  }
  recipe.made_with = checked_versions(json.value("made_with", Json::object()), below("made_with"));
  return recipe;
}

Json to_json(const Recipe& recipe) {
  Json json{{"name", recipe.name}, {"description", recipe.description}, {"train", recipe.train}};
  Json data = to_json(recipe.data);
  for (const char* key : {"count", "hash"})
    if (data[key].is_null()) data.erase(key);
  json["data"] = data;
  if (!recipe.network.is_null()) json["network"] = recipe.network;
  if (!recipe.sample.empty()) json["sample"] = recipe.sample;
  if (!recipe.evaluate.empty()) json["evaluate"] = recipe.evaluate;
  if (recipe.budget_minutes) json["budget_minutes"] = *recipe.budget_minutes;
  if (!recipe.made_with.empty()) json["made_with"] = recipe.made_with;
  return json;
}

Recipe read_recipe(const fs::path& path) {
  Recipe recipe = recipe_from_json(read_json(path), fmt::format("\"{}\"", path.string()));
  if (recipe.name.empty()) recipe.name = path.stem().string();
  return recipe;
}

TrainOptions train_options(const Recipe& recipe) {
  TrainOptions options;
  assign_json(options, recipe.train, fmt::format("recipe {}", recipe.name));
  options.train_data_dir = recipe.data.source;
  if (recipe.network.is_string()) options.model_config_name_or_path = recipe.network.get<std::string>();
  if (recipe.network.is_object()) options.model_config_name_or_path = dump_json_line(recipe.network);
  options.recipe = recipe.name;
  return options;
}

SampleOptions sample_options(const Recipe& recipe) {
  SampleOptions options;
  options.num_images = 16;
  assign_json(options, recipe.sample, fmt::format("recipe {}: sample", recipe.name));
  return options;
}

Json network_settings(const Json& unet_config) {
  const Json defaults = to_json(UNet2DOptions{});
  Json network = Json::object();
  for (const auto& [key, value] : unet_config.items())
    if (defaults.contains(key) && value != defaults.at(key)) network[key] = value;
  return network;
}

bool is_network_file(const std::string& text) {
  const auto presets = unet2d_preset_names();
  return !text.empty() && !text.starts_with('{') && std::find(presets.begin(), presets.end(), text) == presets.end();
}

Json training_settings(const TrainOptions& options) {
  Json settings = to_json(options);
  for (const std::string& name : not_train()) settings.erase(name);
  return settings;
}

Recipe recipe_from_options(const TrainOptions& options, const Json& network) {
  Recipe recipe;
  recipe.train = training_settings(options);
  recipe.data.source = options.dataset_name.value_or(options.train_data_dir.value_or(""));
  if (const auto& source = options.model_config_name_or_path)
    recipe.network = source->starts_with('{') ? parse_json(*source, "network")
                     : network.is_null()      ? Json(*source)
                                              : network;
  recipe.sample["num_images"] = options.eval_batch_size;
  if (options.eval_scheduler) recipe.sample["scheduler"] = *options.eval_scheduler;
  if (options.ddpm_num_inference_steps) recipe.sample["num_inference_steps"] = *options.ddpm_num_inference_steps;
  return recipe;
}

bool states_steps(const Recipe& recipe) {
  return !recipe.train.value("max_train_steps", Json()).is_null() || recipe.train.contains("num_epochs");
}

std::string setting_name(std::string_view setting) {
  std::string name = with_underscores(setting);
  for (const auto& [alias, full] : kAliases)
    if (name == alias) name = full;
  const auto all = names_of_settings();
  if (holds(all, name)) return name;
  const std::string near = nearest_name(name, all);
  throw usage_error(fmt::format("\"{}\" is no setting of a recipe", setting),
                    near.empty() ? "Any option of unnoise train, any key of the network, or sample.KEY."
                                 : fmt::format("Did you mean \"{}\"?", near));
}

void set_in_recipe(Recipe& recipe, std::string_view setting, const std::string& text) {
  constexpr std::string_view kSample = "sample.";
  const std::string name = setting_name(setting);
  if (name == "network") {
    recipe.network = text;
  } else if (name.starts_with(kSample)) {
    const std::string key = name.substr(kSample.size());
    recipe.sample[key] = typed<SampleOptions>(key, text);
  } else if (holds(field_names<TrainOptions>(), name)) {
    recipe.train[name] = typed<TrainOptions>(name, text);
  } else {
    if (recipe.network.is_null()) recipe.network = Json::object();
    if (recipe.network.is_string()) recipe.network = {{"preset", recipe.network}};
    recipe.network[name] = network_value(text);
    checked_network(recipe.network, fmt::format("{}={}", setting, text));
  }
}

}  // namespace unnoise
