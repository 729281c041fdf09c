#include "unnoise/recipes/card_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "unnoise/core/version.h"
#include "unnoise/hub/repository.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise {
namespace {

/// Options that say where, how to go on, or who; they are no part of a recipe.
constexpr std::array<std::string_view, 16> kNoRecipe = {
    "output_dir",       "overwrite_output_dir", "resume_from_checkpoint",
    "hub_token",        "hub_token_file",       "hub_model_id",
    "hub_private_repo", "push_to_hub",          "process_timeout",
    "local_rank",       "hub_endpoint",         "hub_cache",
    "cache_dir",        "logging_dir",          "threads",
    "license"};
constexpr std::array<std::string_view, 4> kPaths = {"train_data_dir", "dataset_name", "pretrained",
                                                    "model_config_name_or_path"};

bool among(const auto& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The last part of a path of this machine; a relative one and a name on the hub stay.
std::string without_folders(const std::string& text) {
  const fs::path path = text;
  if (!path.is_absolute()) return text;
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

std::string shell_word(const std::string& text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=+@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string value_text(const std::string& key, const Json& value) {
  if (value.is_string()) return among(kPaths, key) ? without_folders(value) : value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::vector<std::string> items;
  for (const auto& item : value) items.push_back(item.is_string() ? item.get<std::string>() : item.dump());
  return fmt::format("{}", fmt::join(items, ","));
}

/// The sets that come with a name, as the hub calls them.
std::vector<std::string> hub_data(const CardFacts& facts) {
  if (!facts.run) return {};
  if (facts.run->data == "fashion-mnist") return {"zalando-datasets/fashion_mnist"};
  return {};
}

std::string base_model(const Json& options) {
  const Json from = options.value("pretrained", Json());
  const auto name = from.is_string() ? hub_name(from.get<std::string>()) : std::nullopt;
  return name ? name->repository : "";
}

std::string size_text(const Json& unet) {
  const Json size = unet.value("sample_size", Json());
  if (size.is_number_integer()) return fmt::format("{0}×{0}", size.get<int64_t>());
  return size.is_array() && size.size() == 2 ? fmt::format("{}×{}", size[1].dump(), size[0].dump()) : "square";
}

std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string text = "| | |\n| --- | --- |";
  for (const auto& [what, value] : rows)
    if (!value.empty()) text += fmt::format("\n| {} | {} |", what, value);
  return text;
}

/// How diffusers loads it. Only the folder's own pipeline class is sure to sample as the model was trained.
std::string in_python(const std::string& name, const CardFacts& facts) {
  if (facts.unet.value("_class_name", "UNet2DModel") != "UNet2DModel")
    return "# diffusers has no class for this network and refuses to load the folder";
  const bool has_betas = facts.scheduler.contains("beta_schedule");  // else its pipeline's 1000 steps would be a waste
  return fmt::format(
      "from diffusers import DiffusionPipeline\n\n"
      "images = DiffusionPipeline.from_pretrained(\"{}\")(batch_size=16{}).images",
      name, has_betas ? "" : ", num_inference_steps=50");
}

std::string use_section(const std::string& name, const CardFacts& facts) {
  const bool is_ddpm = facts.scheduler.value("_class_name", "") == "DDPMScheduler";
  const std::string faster = is_ddpm ? " --scheduler ddim --num-inference-steps 50" : "";
  return fmt::format("```sh\nunnoise sample --model {} --num-images 16{} --grid grid.png\n```\n\n```python\n{}\n```",
                     shell_word(name), faster, in_python(name, facts));
}

std::string data_section(const RunFacts& run) {
  return two_columns({{"data", run.data},
                      {"pictures", human_count(run.pictures)},
                      {"hash of the pixels", run.data_hash ? "`" + *run.data_hash + "`" : ""},
                      {"licence", run.data_license.value_or("not known")}});
}

std::string training_section(const CardFacts& facts) {
  const std::string machine =
      facts.run ? fmt::format("{}, {} threads, unnoise {}", facts.run->device, facts.run->threads, facts.run->version)
                : "";
  return two_columns(
      {{"network", fmt::format("{}, {} parameters", facts.unet.value("_class_name", "UNet2DModel"),
                               human_count(facts.parameters))},
       {"predicts", facts.scheduler.value("prediction_type", "epsilon")},
       {"noise", fmt::format("{}, {} levels", facts.scheduler.value("beta_schedule", "as configured"),
                             facts.scheduler.value("num_train_timesteps", 1000))},
       {"steps", facts.steps ? fmt::format("{} ({} epochs)", human_count(facts.steps), facts.epochs) : ""},
       {"time", facts.seconds > 0 ? human_seconds(facts.seconds) : ""},
       {"machine", machine},
       {"loss at the end", facts.loss ? fmt::format("{:.4f}", *facts.loss) : ""}});
}

std::string metric_section(const std::map<std::string, QualityNumber>& metrics) {
  std::string text = "| measure | value (95 % interval) | pictures |\n| --- | --- | --- |";
  for (const auto& [name, number] : metrics)
    text += fmt::format("\n| {} | {} | {} |", name, estimate_text(number.estimate),
                        number.num_images > 0 ? human_count(number.num_images) : "");
  return text;
}

}  // namespace

std::string training_command(const Json& options) {
  const Json defaults = to_json(TrainOptions());
  std::string command = "unnoise train";
  for (const auto& [key, value] : options.items()) {
    if (among(kNoRecipe, key) || value.is_null() || (defaults.contains(key) && value == defaults.at(key))) continue;
    std::string flag = "--" + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (value.is_boolean()) {
      command += " \\\n    " + (value.get<bool>() ? flag : "--no-" + flag.substr(2));
    } else {
      command += fmt::format(" \\\n    {} {}", flag, shell_word(value_text(key, value)));
    }
  }
  return command;
}

ModelCard model_card(const CardFacts& facts, const std::string& name, const std::string& license) {
  ModelCard card;
  card.title = name.substr(name.find('/') + 1);
  card.license = license;
  card.base_model = base_model(facts.options);
  card.datasets = hub_data(facts);
  for (const auto& [type, number] : facts.metrics) card.metrics.push_back({type, number.estimate.value});
  card.summary = fmt::format(
      "An unconditional diffusion model that draws {} pictures{}. Made with unnoise; diffusers loads it, too.",
      size_text(facts.unet),
      facts.run ? fmt::format(" like the {} it has seen in \"{}\"", human_count(facts.run->pictures), facts.run->data)
                : "");
  const auto picture = [&](std::string_view ending) {
    for (const auto& file : facts.pictures)
      if (file.ends_with(ending)) return file;
    return std::string();
  };
  if (!picture(".png").empty()) card.summary += fmt::format("\n\n![samples]({})", picture(".png"));
  card.sections.emplace_back("Use", use_section(name, facts));
  if (facts.run) card.sections.emplace_back("Data", data_section(*facts.run));
  card.sections.emplace_back("Training", training_section(facts));
  if (!picture(".svg").empty()) card.sections.back().second += fmt::format("\n\n![loss]({})", picture(".svg"));
  if (!facts.options.empty())
    card.sections.emplace_back("Recipe", fmt::format("This repeats the run, given the same pictures:\n\n```sh\n{}\n```",
                                                     training_command(facts.options)));
  if (!facts.metrics.empty()) card.sections.emplace_back("Evaluation", metric_section(facts.metrics));
  card.sections.emplace_back(
      "Limits",
      "It knows its training pictures and nothing else. A small set, or long training, makes it repeat some of them: "
      "compare samples with their nearest neighbours before you publish them. The licence of the pictures may bind "
      "what "
      "is drawn.");
  return card;
}

}  // namespace unnoise
