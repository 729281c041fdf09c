// The metrics by their names on the command line.
#pragma once

#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace unnoise {

enum class Metric { fd, kd, pr, dc, swd, mmd, nn };
constexpr auto enum_names(Metric) {
  using enum Metric;
  using Row = std::pair<Metric, std::string_view>;
  return std::array{Row{fd, "fd"},   Row{kd, "kd"},   Row{pr, "pr"}, Row{dc, "dc"},
                    Row{swd, "swd"}, Row{mmd, "mmd"}, Row{nn, "nn"}};
}

/// Every one of them.
inline std::vector<Metric> all_metrics() {
  std::vector<Metric> all;
  for (const auto& [metric, name] : enum_names(Metric())) all.push_back(metric);
  return all;
}

}  // namespace unnoise
