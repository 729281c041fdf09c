#include "apps/cli/hub_environment.h"

#include <algorithm>
#include <cstdlib>

#include "apps/cli/jobs.h"

namespace unnoise::cli {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string first_of(std::initializer_list<std::string> values) {
  for (const auto& value : values)
    if (!value.empty()) return value;
  return "";
}

bool is_set(const char* name) {
  std::string value = variable(name);
  std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::toupper(c); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

}  // namespace

HubSettings hub_environment() {
  const fs::path home = first_of({variable("HOME"), "."});
  const fs::path caches = first_of({variable("XDG_CACHE_HOME"), (home / ".cache").string()});
  const fs::path hub = first_of({variable("HF_HOME"), (caches / "huggingface").string()});
  HubSettings settings;
  settings.endpoint = first_of({variable("HF_ENDPOINT"), kDefaultHub});
  settings.cache = first_of({variable("HF_HUB_CACHE"), variable("HUGGINGFACE_HUB_CACHE"), (hub / "hub").string()});
  settings.token = Secret::from_text(first_of({variable("HF_TOKEN"), variable("HUGGING_FACE_HUB_TOKEN")}), "HF_TOKEN");
  settings.token_file = first_of({variable("HF_TOKEN_PATH"), (hub / "token").string()});
  settings.offline = is_set("HF_HUB_OFFLINE");
  return settings;
}

bool find_model(std::string& model, const Observer& observer, std::stop_token stop) {
  if (model.find('/') == std::string::npos) return true;  // no name of the hub
  model = jobs().find_model(model, hub_environment(), observer, stop);
  return !stop.stop_requested();
}

bool find_model(std::optional<std::string>& model, const Observer& observer, std::stop_token stop) {
  return !model || find_model(*model, observer, stop);
}

}  // namespace unnoise::cli
