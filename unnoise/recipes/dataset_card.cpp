#include "unnoise/recipes/dataset_card.h"

#include <fmt/format.h>

#include <array>

#include "unnoise/recipes/machine.h"

namespace unnoise {
namespace {

/// In double quotes, as YAML and JSON both read it.
std::string quoted(const std::string& text) { return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace); }

/// The hub's classes of size.
std::string size_category(int64_t pictures) {
  constexpr std::array<std::pair<int64_t, const char*>, 7> kClasses{{{1'000, "n<1K"},
                                                                     {10'000, "1K<n<10K"},
                                                                     {100'000, "10K<n<100K"},
                                                                     {1'000'000, "100K<n<1M"},
                                                                     {10'000'000, "1M<n<10M"},
                                                                     {100'000'000, "10M<n<100M"},
                                                                     {1'000'000'000, "100M<n<1B"}}};
  for (const auto& [below, name] : kClasses)
    if (pictures < below) return name;
  return "n>1T";
}

bool has_captions(const DatasetCard& card) {
  for (const auto& [name, type] : card.columns)
    if (name == "text" || name == "caption" || name == "prompt") return true;
  return false;
}

std::string features_yaml(const DatasetCard& card) {
  std::string yaml = "dataset_info:\n  features:\n  - name: image\n    dtype: image\n";
  if (card.has_labels && card.label_names.empty()) yaml += "  - name: label\n    dtype: int64\n";
  if (!card.label_names.empty()) {
    yaml += "  - name: label\n    dtype:\n      class_label:\n        names:\n";
    for (size_t i = 0; i < card.label_names.size(); ++i)
      yaml += fmt::format("          '{}': {}\n", i, quoted(card.label_names[i]));
  }
  for (const auto& [name, type] : card.columns)
    yaml += fmt::format("  - name: {}\n    dtype: {}\n", quoted(name), type);
  return yaml;
}

}  // namespace

Json dataset_features(const DatasetCard& card) {
  Json features{{"image", {{"_type", "Image"}}}};
  if (card.has_labels && card.label_names.empty()) features["label"] = {{"dtype", "int64"}, {"_type", "Value"}};
  if (!card.label_names.empty()) features["label"] = {{"names", card.label_names}, {"_type", "ClassLabel"}};
  for (const auto& [name, type] : card.columns) features[name] = {{"dtype", type}, {"_type", "Value"}};
  return {{"info", {{"features", features}}}};
}

std::string dataset_card_text(const DatasetCard& card) {
  int64_t pictures = 0, bytes = 0, stored = 0;
  for (const auto& split : card.splits) {
    pictures += split.pictures;
    bytes += split.bytes;
    stored += split.stored_bytes;
  }
  std::string text = "---\n";
  if (!card.license.empty()) text += fmt::format("license: {}\n", quoted(card.license));
  text += fmt::format("pretty_name: {}\ntask_categories:\n- unconditional-image-generation\n", quoted(card.title));
  if (card.has_labels) text += "- image-classification\n";
  if (has_captions(card)) text += "- text-to-image\n";
  text += fmt::format("size_categories:\n- {}\ntags:\n- unnoise\n{}", size_category(pictures), features_yaml(card));
  text += "  splits:\n";
  for (const auto& split : card.splits)
    text +=
        fmt::format("  - name: {}\n    num_bytes: {}\n    num_examples: {}\n", split.name, split.bytes, split.pictures);
  text += fmt::format("  download_size: {}\n  dataset_size: {}\n", stored, bytes);
  text += "configs:\n- config_name: default\n  data_files:\n";
  for (const auto& split : card.splits) text += fmt::format("  - split: {0}\n    path: data/{0}-*\n", split.name);
  text += fmt::format("---\n\n# {}\n\n", card.title);
  if (!card.source.empty()) text += card.source + "\n\n";
  text += "| split | pictures | bytes |\n| --- | --- | --- |\n";
  for (const auto& split : card.splits)
    text += fmt::format("| {} | {} | {} |\n", split.name, human_count(split.pictures),
                        human_bytes(static_cast<double>(split.stored_bytes)));
  text += fmt::format("\nMade with unnoise:\n\n```sh\n{}\n```\n", card.command);
  text += fmt::format("\nRead it with `datasets.load_dataset` in Python, or `unnoise train --train-data-dir`.\n");
  if (card.license.empty()) text += "\nThe licence of the pictures is not stated: ask before you share them.\n";
  return text;
}

}  // namespace unnoise
