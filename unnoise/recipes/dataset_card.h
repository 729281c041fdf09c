// README.md of a data set in the hub's layout: YAML for programs, Markdown for people.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "unnoise/core/json.h"

namespace unnoise {

struct CardSplit {
  std::string name;
  int64_t pictures = 0;
  int64_t bytes = 0;         ///< of the pictures and what belongs to them
  int64_t stored_bytes = 0;  ///< of the Parquet files
};

struct DatasetCard {
  std::string title;
  std::string license;  ///< "" = left out
  std::string source;
  std::string command;  ///< that built it
  bool has_labels = false;
  std::vector<std::string> label_names;
  /// Columns beside image and label: name and the hub's word for the type, "string", "int64", "float64", "bool".
  std::vector<std::pair<std::string, std::string>> columns;
  std::vector<CardSplit> splits;
};

/// {"info": {"features": ...}}: what a Parquet file of the set says of its columns, under the key "huggingface".
Json dataset_features(const DatasetCard& card);

std::string dataset_card_text(const DatasetCard& card);

}  // namespace unnoise
