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

using Find = std::string(const std::string&, const HubOptions&, const Observer&, std::stop_token);

bool replace_by_folder(HubOptions& options, std::string& name, Find* find, const Observer& observer,
                       std::stop_token stop) {
  std::error_code ec;
  if (name.find('/') == std::string::npos || fs::exists(name, ec)) return true;  // no name of the hub
  options.hub = hub_environment();
  name = find(name, options, observer, stop);
  return !stop.stop_requested();
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

bool find_model(HubOptions& options, std::string& model, const Observer& observer, std::stop_token stop) {
  return replace_by_folder(options, model, jobs().find_model, observer, stop);
}

bool find_model(HubOptions& options, std::optional<std::string>& model, const Observer& observer,
                std::stop_token stop) {
  return !model || find_model(options, *model, observer, stop);
}

bool find_dataset(HubOptions& options, std::string& data, const Observer& observer, std::stop_token stop) {
  return replace_by_folder(options, data, jobs().find_dataset, observer, stop);
}

bool find_dataset(HubOptions& options, std::optional<std::string>& data, const Observer& observer,
                  std::stop_token stop) {
  return !data || find_dataset(options, *data, observer, stop);
}

bool find_parts(TrainOptions& options, const Observer& observer, std::stop_token stop) {
  return find_model(options, options.pretrained, observer, stop) &&
         find_model(options, options.model_config_name_or_path, observer, stop) &&
         find_dataset(options, options.dataset_name, observer, stop);  // --train-data-dir is a folder, as in the script
}

}  // namespace unnoise::cli
