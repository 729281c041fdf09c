// Everything the actions of `unnoise data` can be told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "unnoise/core/fields.h"
#include "unnoise/recipes/hub_options.h"

namespace unnoise {

/// Which pictures.
struct DataSource : HubOptions {
  std::string data;
  std::optional<std::string> dataset_config_name;

  static constexpr auto source_fields() {
    using O = DataSource;
    return std::tuple{
        section("Which pictures"),
        field("data", &O::data,
              "folder, archive (zip, tar, tar.gz, tar.zst, ...), Parquet, IDX or npz file, a name such as emoji, or "
              "USER/NAME on the hub; may also stand without its flag"),
        field("dataset_config_name", &O::dataset_config_name,
              "of a hub data set with several configurations, the folder of this name"),
    };
  }
};

struct DataInspectOptions : DataSource {
  int64_t num_images = 2000;
  bool json = false;

  static constexpr auto fields() {
    using O = DataInspectOptions;
    return std::tuple_cat(
        source_fields(),
        std::tuple{section("How"),
                   field("num_images", &O::num_images,
                         "decode so many pictures of each split, evenly spread, for sizes and modes; 0 = all"),
                   field("json", &O::json, "print JSON instead of text")},
        hub_fields());
  }
};

struct DataPreviewOptions : DataSource {
  std::string split = "train";
  int64_t num_images = 64;
  std::optional<int64_t> columns;
  std::optional<int64_t> resolution;
  int64_t zoom = 1;
  bool by_class = false;
  std::optional<int64_t> seed;
  std::string output = "preview.png";

  static constexpr auto fields() {
    using O = DataPreviewOptions;
    return std::tuple_cat(
        source_fields(),
        std::tuple{
            section("What to show"), field("split", &O::split, "train, validation or test"),
            field("num_images", &O::num_images, "how many pictures; by class, how many of each"),
            field("columns", &O::columns, "pictures a row; default: 8, or as many as there are"),
            field("resolution", &O::resolution,
                  "pixels a side: each is resized and cut to the middle square, as a network sees it; default: the "
                  "first picture's shorter side, at most 128"),
            field("zoom", &O::zoom, "enlarge every pixel so many times"),
            field("by_class", &O::by_class, "a row for each class; with .svg the class's name beside it"),
            field("seed", &O::seed, "draw the pictures at random; default: evenly spread over the set"),
            section("Where to"), field("output", &O::output, "picture to write: .png or .svg")},
        hub_fields());
  }
};

struct DataDoctorOptions : DataSource {
  std::optional<std::string> duplicates;
  int64_t min_size = 32;
  int64_t distance = 6;
  double difference = 0.06;
  bool json = false;

  static constexpr auto fields() {
    using O = DataDoctorOptions;
    return std::tuple_cat(
        source_fields(),
        std::tuple{
            section("What counts"),
            field("min_size", &O::min_size, "pictures whose shorter side has fewer pixels are named"),
            field("distance", &O::distance,
                  "near duplicates: perceptual hashes that differ in at most so many of 64 bits, 0 to 7"),
            field("difference", &O::difference,
                  "near duplicates: and thumbnails that differ by at most this much (root mean square, of 1)"),
            section("Where to"),
            field("duplicates", &O::duplicates, "picture of the duplicates, side by side: .png, or .svg with names"),
            field("json", &O::json, "print JSON instead of text")},
        hub_fields());
  }
};

/// How a set without marked splits is cut.
struct SplitFractions {
  double validation_fraction = 0;
  double test_fraction = 0.1;
  bool stratify = true;
  int64_t seed = 0;

  static constexpr auto split_fields() {
    using O = SplitFractions;
    return std::tuple{
        section("Splits, of a set that has none"),
        field("validation_fraction", &O::validation_fraction, "share of the pictures for validation, 0 to 1"),
        field("test_fraction", &O::test_fraction, "share of the pictures for testing, 0 to 1"),
        field("stratify", &O::stratify, "each class in the same shares"),
        field("seed", &O::seed, "of the choice; the same seed gives the same splits"),
    };
  }
};

struct DataSplitOptions : DataSource, SplitFractions {
  std::string output;
  bool overwrite = false;

  static constexpr auto fields() {
    using O = DataSplitOptions;
    return std::tuple_cat(
        source_fields(), split_fields(),
        std::tuple{section("Where to"), field("output", &O::output, "folder to write: train/, validation/, test/"),
                   field("overwrite", &O::overwrite, "replace the folder if it is there")},
        hub_fields());
  }
};

struct DataBuildOptions : DataSource, SplitFractions {
  DataBuildOptions() { test_fraction = 0; }
  std::string output;
  bool overwrite = false;
  double max_shard_size = 500;
  std::optional<std::string> name;
  std::optional<std::string> license;
  std::optional<std::string> source;

  static constexpr auto fields() {
    using O = DataBuildOptions;
    return std::tuple_cat(
        source_fields(), split_fields(),
        std::tuple{section("What to write"),
                   field("output", &O::output, "folder to write: README.md and data/*.parquet, the hub's layout"),
                   field("overwrite", &O::overwrite, "replace the folder if it is there"),
                   field("max_shard_size", &O::max_shard_size, "megabytes of pictures a file, at most"),
                   field("name", &O::name, "title of the card; default: the folder's name"),
                   field("license", &O::license,
                         "licence of the pictures, e.g. mit or cc-by-4.0; default: what the source states"),
                   field("source", &O::source,
                         "where the pictures come from: a line for the card; default: whose the source says they are")},
        hub_fields());
  }
};

struct DataGetOptions {
  std::vector<std::string> names;
  std::optional<std::string> to;
  bool overwrite = false;
  std::optional<int64_t> resolution;
  bool keep_alpha = false;
  std::vector<std::string> categories;
  bool skin_tones = false;

  static constexpr auto fields() {
    using O = DataGetOptions;
    return std::tuple{
        field("names", &O::names, "what to install; may also stand without the flag. Without a name: the list"),
        field("to", &O::to, "folder to put a folder of that name into; default: ~/.local/share/unnoise/datasets"),
        field("overwrite", &O::overwrite, "replace what is there"),
        field("resolution", &O::resolution, "emoji: shrink the pictures to so many pixels"),
        field("keep_alpha", &O::keep_alpha, "emoji: keep transparency, instead of laying the pictures on white"),
        field("categories", &O::categories,
              "emoji: only these categories, e.g. food-drink, or finer ones, e.g. \"face-*\",cat-face, which are then "
              "the classes"),
        field("skin_tones", &O::skin_tones, "emoji: people in each of the five skin tones too"),
    };
  }
};

}  // namespace unnoise
