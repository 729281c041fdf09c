#include "unnoise/recipes/card_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "unnoise/core/version.h"
#include "unnoise/hub/repository.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/recipes/recipe.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise {
namespace {

/// Options that are no part of a recipe: where, how to go on, who; what a recipe's name stood for is in the others.
std::set<std::string> not_in_command() {
  std::set<std::string> names = field_names<TrainOptions>(FieldRole::place);
  names.insert({"recipe", "threads", "license"});
  return names;
}

const std::set<std::string> kPaths = {"train_data_dir", "dataset_name", "pretrained"};

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
  if (value.is_string()) return kPaths.contains(key) ? without_folders(value) : value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::vector<std::string> items;
  for (const auto& item : value) items.push_back(item.is_string() ? item.get<std::string>() : item.dump());
  return fmt::format("{}", fmt::join(items, ","));
}

std::string base_model(const Json& options) {
  const Json from = options.value("pretrained", Json());
  const auto name = from.is_string() ? hub_name(from.get<std::string>()) : std::nullopt;
  return name ? name->repository.name : "";
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
                      {"licence", run.data_license.value_or("not known")},
                      {"attribution", run.data_credit.value_or("")}});
}

std::string held_out_text(const std::optional<HeldOutEpsError>& error) {
  if (!error) return "";
  return fmt::format("{:.4f}, on {} {} pictures", error->mean, human_count(error->num_images),
                     error->unseen ? "unseen" : "training");
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
       {"loss at the end", facts.loss ? fmt::format("{:.4f}", *facts.loss) : ""},
       {"error of the noise", held_out_text(facts.held_out)}});
}

std::string between(const Estimate& e) {
  return std::isfinite(e.low) && std::isfinite(e.high) ? fmt::format("{:.4g} to {:.4g}", e.low, e.high) : "";
}

/// What was measured of which pictures, and what came out.
std::string evaluation_table(const EvaluationSummary& e) {
  std::string text = measured_pictures(e);
  if (!e.features.empty()) text += fmt::format("; features: {}", e.features);
  if (!e.how.empty()) text += fmt::format("; drawn with {}", e.how);
  if (e.step > 0) text += fmt::format("; after {} steps of training", human_count(e.step));
  text += "\n\n| measure | value | 95 % interval |\n| --- | --- | --- |";
  for (const auto& [name, number] : e.numbers)
    text += fmt::format("\n| {} | {:.4g} | {} |", name, number.estimate.value, between(number.estimate));
  if (e.copies) text += *e.copies ? "\n\n**It hands out copies of training pictures.**" : "\n\nNo sign of copies.";
  return text;
}

std::string licence_section(const CardFacts& facts, const std::string& license) {
  std::string text = license.empty() ? "The licence of the model is not stated: ask before you use it."
                                     : fmt::format("The model: {}.", license);
  if (!facts.run) return text;
  const RunFacts& run = *facts.run;
  text += run.data_license ? fmt::format(" The pictures that it learnt from: {}", *run.data_license)
                           : std::string(" The licence of the pictures that it learnt from is not known");
  if (run.data_credit) text += fmt::format(", by {}", *run.data_credit);
  return text + ". It may bind what is drawn.";
}

std::string evaluation_section(const CardFacts& facts) {
  std::string text;
  for (const auto& evaluation : facts.evaluations) text += (text.empty() ? "" : "\n\n") + evaluation_table(evaluation);
  return text.empty() ? "Not measured yet." : text;
}

/// For programs: hubs rank models by these.
std::vector<CardResult> card_results(const CardFacts& facts) {
  std::vector<CardResult> results;
  for (const auto& e : facts.evaluations) {
    const bool of_training_data = facts.run && facts.run->data_repo && facts.run->data == e.data;
    CardResult result{.dataset_type = of_training_data ? *facts.run->data_repo
                                      : e.data.empty() ? "custom"
                                                       : e.data,
                      .dataset_name = measured_pictures(e),
                      .dataset_split = e.split,
                      .metrics = {}};
    for (const auto& [key, number] : e.numbers)
      result.metrics.push_back({key, number.estimate.value, fmt::format("{} of {} pictures", key, number.num_images)});
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace

std::string training_command(const Json& options, const Json& unet) {
  const Json defaults = to_json(TrainOptions());
  const auto left_out = not_in_command();
  std::string command = "unnoise train";
  for (const auto& [key, value] : options.items()) {
    if (left_out.contains(key) || value.is_null() || (defaults.contains(key) && value == defaults.at(key))) continue;
    std::string flag = "--" + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (value.is_boolean()) {
      command += " \\\n    " + (value.get<bool>() ? flag : "--no-" + flag.substr(2));
      continue;
    }
    const bool is_file = key == "model_config_name_or_path" && value.is_string() && is_network_file(value);
    const std::string text = is_file ? dump_json_line(network_settings(unet)) : value_text(key, value);
    command += fmt::format(" \\\n    {} {}", flag, shell_word(text));
  }
  return command;
}

ModelCard model_card(const CardFacts& facts, const std::string& name, const std::string& license) {
  ModelCard card;
  card.title = name.substr(name.find('/') + 1);
  card.license = license;
  card.base_model = base_model(facts.options);
  if (facts.run && facts.run->data_repo) card.datasets = {*facts.run->data_repo};
  card.results = card_results(facts);
  card.summary = fmt::format(
      "An unconditional diffusion model that draws {} pictures{}. Made with unnoise; diffusers loads it, too.",
      size_text(facts.unet),
      facts.run ? fmt::format(" like the {} it has seen in \"{}\"", human_count(facts.run->pictures), facts.run->data)
                : "");
  if (!facts.samples.empty()) card.summary += fmt::format("\n\n![samples]({})", facts.samples);
  card.sections.emplace_back("Use", use_section(name, facts));
  if (facts.run) card.sections.emplace_back("Data", data_section(*facts.run));
  card.sections.emplace_back("Training", training_section(facts));
  if (!facts.loss_curve.empty()) card.sections.back().second += fmt::format("\n\n![loss]({})", facts.loss_curve);
  if (!facts.options.empty())
    card.sections.emplace_back("Recipe", fmt::format("This repeats the run, given the same pictures:\n\n```sh\n{}\n```",
                                                     training_command(facts.options, facts.unet)));
  if (facts.run || !facts.evaluations.empty()) card.sections.emplace_back("Evaluation", evaluation_section(facts));
  card.sections.emplace_back("Licence", licence_section(facts, license));
  card.sections.emplace_back(
      "Limits",
      "It knows its training pictures and nothing else. A small set, or long training, makes it repeat some of them: "
      "compare samples with their nearest neighbours before you publish them.");
  return card;
}

}  // namespace unnoise
