#include "unnoise/recipes/hub_options.h"

namespace unnoise {

HubSettings hub_settings(const HubOptions& options) {
  HubSettings settings = options.hub;
  if (options.hub_token) settings.token = Secret::from_text(*options.hub_token, "--hub-token");
  if (options.hub_token_file && !options.hub_token) settings.token = Secret::from_file(*options.hub_token_file);
  if (options.hub_endpoint) settings.endpoint = *options.hub_endpoint;
  if (options.hub_cache) settings.cache = *options.hub_cache;
  return settings;
}

}  // namespace unnoise
