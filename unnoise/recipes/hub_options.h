// What every command that takes names of a hub can be told.
#pragma once

#include <optional>
#include <string>
#include <tuple>

#include "unnoise/core/fields.h"
#include "unnoise/hub/hub_settings.h"

namespace unnoise {

struct HubOptions {
  std::optional<std::string> hub_token_file;
  std::optional<std::string> hub_endpoint;
  std::optional<std::string> hub_cache;
  std::optional<std::string> hub_token;  ///< of unnoise train alone, as diffusers' script has it
  HubSettings hub;                       ///< from the environment; not an option

  static constexpr auto hub_fields() {
    using O = HubOptions;
    return std::tuple{
        section("Hub"),
        place("hub_token_file", &O::hub_token_file,
              "file whose first line is your access token; default: HF_TOKEN, else the one that hf auth login stored"),
        place("hub_endpoint", &O::hub_endpoint,
              "address of the hub; default: HF_ENDPOINT, else https://huggingface.co"),
        place("hub_cache", &O::hub_cache,
              "folder of downloads, shared with Python; default: HF_HUB_CACHE, else ~/.cache/huggingface/hub"),
    };
  }
};

/// The environment's settings with what the options say instead.
HubSettings hub_settings(const HubOptions& options);

}  // namespace unnoise
