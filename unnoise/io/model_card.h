// README.md of a model folder: YAML front matter for programs, Markdown for people.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "unnoise/core/files.h"

namespace unnoise {

/// A number of the front matter's model-index, by which hubs rank models.
struct CardMetric {
  std::string type;  ///< "bits_per_dim"
  double value = 0;
  std::string name;  ///< "bits_per_dim of 64 pictures"; "" = left out
};

/// Numbers that were measured on the same pictures.
struct CardResult {
  std::string dataset_type;   ///< name of the data on a hub, or another
  std::string dataset_name;   ///< what they were measured on, in words
  std::string dataset_split;  ///< "train", "test"; "" = left out
  std::vector<CardMetric> metrics;
};

struct ModelCard {
  std::string title;
  std::string license;  ///< "apache-2.0", "mit", ...; "" = left out
  std::string library_name = "diffusers";
  std::string pipeline_tag = "unconditional-image-generation";
  std::string base_model;  ///< "user/name" that it was fine-tuned from; "" = left out
  std::vector<std::string> tags = {"unnoise", "diffusers", "unconditional-image-generation"};
  std::vector<std::string> datasets;  ///< names on the hub
  std::vector<CardResult> results;
  std::string summary;                                        ///< Markdown under the title
  std::vector<std::pair<std::string, std::string>> sections;  ///< heading and its Markdown
};

/// The text of the file, with a marker by which its own cards are known: a checksum of all the rest.
std::string model_card_text(const ModelCard& card);

enum class ExistingCard { keep, replace };

/// Whether the text is as model_card_text() made it: no letter was changed since.
bool is_untouched_card(std::string_view text);

/// Writes `model_dir/README.md`. A card that a person wrote or changed is left alone unless `existing` is replace;
/// returns whether the card was written.
bool save_model_card(const fs::path& model_dir, const ModelCard& card, ExistingCard existing = ExistingCard::keep);

/// The front matter's top-level keys with their value or list of values; empty when there is none. Nested maps are
/// skipped.
std::map<std::string, std::vector<std::string>> parse_front_matter(std::string_view text);

/// The licence that `model_dir/README.md` states, "" when there is no card or it states none.
std::string read_license(const fs::path& model_dir);

}  // namespace unnoise
