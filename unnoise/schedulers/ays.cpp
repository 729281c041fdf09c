#include "unnoise/schedulers/ays.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/sigma_grids.h"

namespace unnoise {
namespace {

struct Table {
  std::string_view model;
  std::vector<double> timesteps;  // empty: the model is told sigmas
  std::vector<double> sigmas;     // without the 0 at the end
};

const Table& table_of(std::string_view model) {
  static const std::vector<Table> tables{
      {"sd",
       {999, 850, 736, 645, 545, 455, 343, 233, 124, 24},
       {14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152}},
      {"sdxl",
       {999, 845, 730, 587, 443, 310, 193, 116, 53, 13},
       {14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113}},
      {"svd", {}, {700.00, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034}},
  };
  for (const Table& table : tables)
    if (table.model == model) return table;
  throw usage_error(fmt::format("align-your-steps tables: \"{}\" is not one of sd, sdxl, svd", model));
}

}  // namespace

std::vector<double> ays_sigmas(std::string_view model, int64_t steps) {
  const auto& known = table_of(model).sigmas;
  if (steps < 1) throw usage_error(fmt::format("number of sampling steps: expected at least 1, found {}", steps));
  const auto last = static_cast<double>(known.size() - 1);
  std::vector<double> out;
  for (const double at : linspace(0, last, steps)) {
    const auto i = static_cast<size_t>(at);
    const double w = at - static_cast<double>(i);
    out.push_back(w == 0 ? known[i] : std::exp((1 - w) * std::log(known[i]) + w * std::log(known[i + 1])));
  }
  out.push_back(0);
  return out;
}

const std::vector<double>& ays_timesteps(std::string_view model) {
  const auto& timesteps = table_of(model).timesteps;
  if (timesteps.empty())
    throw usage_error(fmt::format("align-your-steps tables: \"{}\" has sigmas only", model),
                      "Take a scheduler that accepts sigmas, such as euler.");
  return timesteps;
}

}  // namespace unnoise
