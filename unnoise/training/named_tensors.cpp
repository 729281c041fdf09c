#include "unnoise/training/named_tensors.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

std::string summary(std::string_view what, const std::vector<std::string>& names) {
  constexpr size_t kShown = 3;
  const std::vector<std::string> shown(names.begin(), names.begin() + std::min(names.size(), kShown));
  return fmt::format("{} {}: {}{}", names.size(), what, fmt::join(shown, ", "), names.size() > kShown ? ", ..." : "");
}

std::string type_of(const Tensor& t) {
  return fmt::format("{} [{}]", c10::toString(t.scalar_type()), fmt::join(t.sizes(), ","));
}

}  // namespace

void copy_by_name(const StateDict& from, const StateDict& to, const std::string& complaint, const std::string& hint) {
  std::unordered_map<std::string_view, const Tensor*> targets, sources;
  for (const auto& [name, tensor] : to) targets.emplace(name, &tensor);

  std::vector<std::string> unexpected, misshapen, missing;
  for (const auto& [name, tensor] : from) {
    const auto target = targets.find(name);
    if (target == targets.end() || !sources.emplace(name, &tensor).second) {
      unexpected.push_back(name);
    } else if (tensor.sizes() != target->second->sizes() || tensor.scalar_type() != target->second->scalar_type()) {
      misshapen.push_back(fmt::format("{} (expected {}, found {})", name, type_of(*target->second), type_of(tensor)));
    }
  }
  for (const auto& [name, tensor] : to)
    if (!sources.contains(name)) missing.push_back(name);

  std::vector<std::string> parts;
  if (!missing.empty()) parts.push_back(summary("missing", missing));
  if (!unexpected.empty()) parts.push_back(summary("unexpected", unexpected));
  if (!misshapen.empty()) parts.push_back(summary("of another type", misshapen));
  if (!parts.empty()) throw data_error(fmt::format("{}: {}", complaint, fmt::join(parts, "; ")), hint);

  c10::NoGradGuard no_grad;
  for (const auto& [name, tensor] : to) tensor.copy_(*sources.at(name));
}

}  // namespace unnoise
