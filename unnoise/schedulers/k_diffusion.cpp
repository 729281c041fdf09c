#include "unnoise/schedulers/k_diffusion.h"

#include <fmt/format.h>

#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {

void check_config(std::string_view class_name, const KConfig& config, const SigmaTable& table) {
  check_config(class_name, static_cast<const SigmaConfig&>(config), table);
  if (!(config.rho > 0 && std::isfinite(config.rho)))
    throw usage_error(fmt::format("{}: rho: expected a number above 0, found {}", class_name, config.rho));
  const double min = config.sigma_min.value_or(table.sigmas().front());
  const double max = config.sigma_max.value_or(table.sigmas().back());
  if (!(min > 0 && min <= max && std::isfinite(max)))
    throw usage_error(
        fmt::format("{}: expected sigma_min above 0 and up to sigma_max, found {} and {}", class_name, min, max));
}

SigmaGrid k_grid(const KConfig& config, const SigmaTable& table, const StartOptions& options) {
  SigmaGrid grid;
  if (options.sigmas) {
    grid.sigmas = checked_sigmas(*options.sigmas);
    grid.sigmas.pop_back();
    for (const double sigma : grid.sigmas) grid.timesteps.push_back(table.timestep(sigma));
    return grid;
  }
  grid.timesteps = sigma_timesteps(config, options);
  if (!one_grid("", config).empty()) {
    const SigmaRange range{config.sigma_min.value_or(table.sigmas().front()),
                           config.sigma_max.value_or(table.sigmas().back())};
    return converted_grid(config, table, range, static_cast<int64_t>(grid.timesteps.size()), config.rho);
  }
  if (options.steps == 1 && !options.timesteps) grid.timesteps = {static_cast<double>(config.num_train_timesteps - 1)};
  for (const double t : grid.timesteps) grid.sigmas.push_back(table.sigma(t));
  return grid;
}

double k_last(const StartOptions& options) { return options.sigmas ? options.sigmas->back() : 0; }

}  // namespace unnoise
