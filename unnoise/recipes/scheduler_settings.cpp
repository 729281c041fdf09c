#include "unnoise/recipes/scheduler_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "unnoise/core/error.h"
#include "unnoise/core/fields.h"

namespace unnoise {
namespace {

constexpr auto kFlag = "--scheduler-options";

std::pair<std::string, Json> key_and_value(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw usage_error(fmt::format("{}: expected KEY=VALUE, found \"{}\"", kFlag, text));
  const std::string value = text.substr(equals + 1);
  const Json json = Json::parse(value, nullptr, false);
  return {text.substr(0, equals), json.is_discarded() ? Json(value) : json};
}

}  // namespace

void check_scheduler_key(const Scheduler& scheduler, const std::string& key, std::string_view flag) {
  const Json config = scheduler.config();
  std::vector<std::string> known;
  for (const auto& [name, value] : config.items())
    if (!name.starts_with('_')) known.push_back(name);
  if (std::find(known.begin(), known.end(), key) != known.end()) return;
  const std::string near = nearest_name(key, known);
  throw usage_error(
      fmt::format("{}: {} has no \"{}\"", flag, scheduler.class_name(), key),
      near.empty() ? fmt::format("It has {}.", fmt::join(known, ", ")) : fmt::format("Did you mean \"{}\"?", near));
}

Json scheduler_settings(const Scheduler& scheduler, const std::vector<std::string>& words) {
  Json settings = Json::object();
  for (const auto& word : words) {
    const auto [key, value] = key_and_value(word);
    check_scheduler_key(scheduler, key, kFlag);
    settings[key] = value;
  }
  return settings;
}

}  // namespace unnoise
