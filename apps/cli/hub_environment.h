// The environment variables of the hub's official client, and where it keeps things.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "unnoise/core/observer.h"
#include "unnoise/recipes/hub_options.h"
#include "unnoise/recipes/train_options.h"

namespace unnoise::cli {

/// HF_TOKEN, HF_TOKEN_PATH, HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, XDG_CACHE_HOME, HOME.
HubSettings hub_environment();

/// Turns USER/NAME in `model` into the folder of its download, fetching what is missing from the hub of `options` and
/// the environment; a folder's name stays. Returns whether to go on: not after Ctrl-C.
bool find_model(HubOptions& options, std::string& model, const Observer& observer, std::stop_token stop);
bool find_model(HubOptions& options, std::optional<std::string>& model, const Observer& observer, std::stop_token stop);
/// The same for a data set.
bool find_dataset(HubOptions& options, std::string& data, const Observer& observer, std::stop_token stop);
bool find_dataset(HubOptions& options, std::optional<std::string>& data, const Observer& observer,
                  std::stop_token stop);
/// The same for all that a training is made of.
bool find_parts(TrainOptions& options, const Observer& observer, std::stop_token stop);

}  // namespace unnoise::cli
