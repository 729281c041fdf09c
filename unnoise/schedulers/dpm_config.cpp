#include "unnoise/schedulers/dpm_config.h"

#include <fmt/format.h>

#include "unnoise/core/error.h"

namespace unnoise {

void check_order(std::string_view class_name, std::string_view key, int64_t order, int64_t highest) {
  if (order < 1 || order > highest)
    throw usage_error(fmt::format("{}: {}: expected 1 to {}, found {}", class_name, key, highest, order));
}

Json settled_config(const Json& given, const Json& known, std::initializer_list<const char*> keys) {
  Json settled = given;
  for (const auto* key : keys)
    if (settled.is_object() && settled.contains(key)) settled[key] = known.at(key);
  return settled;
}

}  // namespace unnoise
