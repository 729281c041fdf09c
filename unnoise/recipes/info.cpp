#include "unnoise/recipes/info.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/core/files.h"
#include "unnoise/io/model_card.h"
#include "unnoise/io/model_folder.h"
#include "unnoise/models/model_summary.h"
#include "unnoise/models/unet2d.h"
#include "unnoise/recipes/machine.h"
#include "unnoise/schedulers/scheduler.h"

namespace unnoise {
namespace {

/// What there is to say about a model; a preset or a bare config.json has no scheduler and no licence.
struct Subject {
  UNet2DOptions unet;
  std::shared_ptr<const Scheduler> scheduler;
  std::string license;
};

Subject find_subject(const std::string& model) {
  const fs::path path = model;
  if (fs::is_directory(path)) {
    Subject subject{unet2d_options(load_component_config(path, "unet")), nullptr, read_license(path)};
    if (fs::exists(path / "scheduler") || fs::exists(path / "scheduler_config.json"))
      subject.scheduler = scheduler_from_config(load_component_config(path, "scheduler", "scheduler_config.json"));
    return subject;
  }
  if (fs::exists(path)) return {unet2d_options(read_json(path)), nullptr, ""};
  const auto presets = unet2d_preset_names();
  if (std::find(presets.begin(), presets.end(), model) != presets.end()) return {unet2d_preset(model), nullptr, ""};
  const std::string near = nearest_name(model, presets);
  throw data_error(
      fmt::format("--model: \"{}\" is neither a folder, a config.json, nor one of {}", model, fmt::join(presets, ", ")),
      near.empty() ? "" : fmt::format("Did you mean \"{}\"?", near));
}

std::string shape_text(const Shape& shape) { return shape.empty() ? "" : fmt::format("{}", fmt::join(shape, "x")); }

/// The last part of the name, set in by its depth: parents are the rows above.
std::string indented_name(const SummaryRow& row) {
  const size_t dot = row.name.rfind('.');
  return std::string(2 * static_cast<size_t>(row.depth), ' ') +
         (row.depth == 0 ? "(network)" : row.name.substr(dot + 1));
}

std::string text_report(const Subject& subject, const ModelSummary& summary, SampleSize size) {
  size_t name_width = 20, what_width = 20;
  for (const auto& row : summary.rows) {
    name_width = std::max(name_width, indented_name(row).size());
    what_width = std::max(what_width, row.description.size());
  }
  std::string out = fmt::format("{:<{}}  {:<{}}  {:>12}  {:>16}  {:>15}\n", "module", name_width, "what", what_width,
                                "parameters", "output", "multiply-adds");
  for (const auto& row : summary.rows)
    out += fmt::format("{:<{}}  {:<{}}  {:>12}  {:>16}  {:>15}\n", indented_name(row), name_width, row.description,
                       what_width, human_count(row.parameters), shape_text(row.output), human_count(row.multiply_adds));
  out += fmt::format("\nparameters     {} ({} as float32)\n", human_count(summary.parameters),
                     human_bytes(4.0 * static_cast<double>(summary.parameters)));
  out += fmt::format("multiply-adds  {} million for one {}x{} picture, one call\n",
                     human_count((summary.multiply_adds + 500'000) / 1'000'000), size.width, size.height);
  if (subject.scheduler)
    out += fmt::format("scheduler      {}, {} steps, predicts {}\n", subject.scheduler->class_name(),
                       subject.scheduler->num_train_timesteps(), enum_name(subject.scheduler->prediction_type));
  if (!subject.license.empty()) out += fmt::format("licence        {}\n", subject.license);
  return out;
}

Json json_report(const Subject& subject, const ModelSummary& summary) {
  Json rows = Json::array();
  for (const auto& row : summary.rows)
    rows.push_back({{"name", row.name},
                    {"what", row.description},
                    {"parameters", row.parameters},
                    {"output", row.output},
                    {"multiply_adds", row.multiply_adds}});
  Json json{{"modules", rows},
            {"parameters", summary.parameters},
            {"multiply_adds", summary.multiply_adds},
            {"unet", unet2d_config(subject.unet)}};
  if (subject.scheduler) {
    json["scheduler"] = subject.scheduler->config();
    json["scheduler"]["_class_name"] = subject.scheduler->class_name();
  }
  if (!subject.license.empty()) json["license"] = subject.license;
  return json;
}

}  // namespace

std::string info(const InfoOptions& options) {
  if (options.model.empty())
    throw usage_error("--model: nothing was given", "Give a model folder, or a network's name such as butterflies.");
  const Subject subject = find_subject(options.model);
  const SampleSize usual = subject.unet.sample_size.value_or(SampleSize{64, 64});
  const SampleSize size{options.height.value_or(usual.height), options.width.value_or(usual.width)};
  Rng rng(0);
  const UNet2D unet(subject.unet, &rng);
  const ModelSummary summary = summarize(unet, size.height, size.width);
  return options.json ? dump_json(json_report(subject, summary)) : text_report(subject, summary, size);
}

}  // namespace unnoise
