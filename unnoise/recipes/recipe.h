// A recipe: all that decides a training run, in one JSON file that anyone can run again, vary and compare.
//
//   {
//     "name": "digits-8",
//     "description": "Handwritten digits of 8x8 pixels, in seconds",
//     "data":     {"source": "digits", "count": 1797, "hash": "pixels-0f3c..."},
//     "network":  {"preset": "mnist", "block_out_channels": [16, 32]},     or a preset's name
//     "train":    {"resolution": 8, "max_train_steps": 600},               options of unnoise train, under their own
//     names "sample":   {"scheduler": "ddim", "num_images": 64},                 of unnoise sample "evaluate":
//     {"bits_per_dim": true},                                  of unnoise evaluate; left out = none "budget_minutes":
//     0.5, "made_with": {"unnoise": "0.1.0"}
//   }
// What is left out has its default. Where a run is written, and what came out of it, is no part of the recipe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "unnoise/core/fields.h"
#include "unnoise/core/json.h"
#include "unnoise/recipes/sample_options.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise {

struct RecipeData {
  std::string source;
  std::optional<int64_t> count;
  std::optional<std::string> hash;

  static constexpr auto fields() {
    using O = RecipeData;
    return std::tuple{
        field("source", &O::source, "folder of pictures or of IDX files, or a set known by name"),
        field("count", &O::count, "how many pictures it held"),
        field("hash", &O::hash, "what the pictures were, see data/content_hash.h"),
    };
  }
  bool operator==(const RecipeData&) const = default;
};

struct Recipe {
  std::string name;
  std::string description;
  RecipeData data;
  Json network;                  ///< null, a text as --model-config-name-or-path takes it, or an object with keys of a
                                 ///< UNet2DModel and optionally "preset"
  Json train = Json::object();   ///< keys of TrainOptions but those that say where, and those of the sections above
  Json sample = Json::object();  ///< keys of SampleOptions but the model and the files
  Json evaluate = Json::object();  ///< keys of EvaluateOptions but the model; empty = do not evaluate
  std::optional<double> budget_minutes;
  Json made_with = Json::object();  ///< versions and machine, to read: made_with() of machine.h

  bool operator==(const Recipe&) const = default;
};

/// Every key and type is checked: an Error::usage names `where`, the key and the nearest known one.
Recipe recipe_from_json(const Json& json, std::string_view where);
Json to_json(const Recipe& recipe);

/// recipe_from_json of a file; without a "name" the recipe has the file's.
Recipe read_recipe(const fs::path& path);

/// The options of its training run. --output-dir has its default still.
TrainOptions train_options(const Recipe& recipe);
/// Of its grid of samples. Model and files are to be set.
SampleOptions sample_options(const Recipe& recipe);

/// A network's config.json without what is the default, as a recipe or a command line states it.
Json network_settings(const Json& unet_config);

/// Whether --model-config-name-or-path is a file or folder, and not a preset's name or a configuration's text.
bool is_network_file(const std::string& text);

/// Every setting of training that a recipe's section "train" may hold, those at their defaults too.
Json training_settings(const TrainOptions& options);

/// The other way: all settings of training. Data has no count or hash yet. Where the options name a file for the
/// network, `network` is what it holds.
Recipe recipe_from_options(const TrainOptions& options, const Json& network = nullptr);

/// Whether the recipe itself says how long to train. Otherwise its budget does.
bool states_steps(const Recipe& recipe);

/// One setting by the name that a command line would use: an option of training ("learning-rate", "lr"), a key of the
/// network ("block_out_channels", "channels"), "network" itself, "seed", or "sample.KEY". `text` as after a flag; lists
/// of the network in brackets. Error::usage for an unknown name, or a value of the wrong type.
void set_in_recipe(Recipe& recipe, std::string_view setting, const std::string& text);
/// The name by which a recipe knows the setting: "lr" -> "learning_rate". Error::usage when there is none.
std::string setting_name(std::string_view setting);

}  // namespace unnoise
