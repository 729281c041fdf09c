// The config and the grid of k-diffusion's methods that diffusers has no class for.
#pragma once

#include "unnoise/schedulers/sigma_solver.h"

namespace unnoise {

struct KConfig : SigmaConfig {
  std::optional<double> sigma_min;
  std::optional<double> sigma_max;
  double rho = 7;

  static constexpr auto fields() {
    using C = KConfig;
    return std::tuple_cat(
        NoiseOptions::fields(), SigmaConfig::prediction_field(), SigmaGridOptions::fields(), GridOptions::fields(),
        std::tuple{field("sigma_min", &C::sigma_min,
                         "lowest level of a Karras, exponential or beta grid; default: the table's"),
                   field("sigma_max", &C::sigma_max, "highest level of such a grid; default: the table's"),
                   field("rho", &C::rho, "Karras grid: equal steps in sigma^(1/rho), above 0")});
  }
};

/// Throws Error::usage that names the key whose value cannot be.
void check_config(std::string_view class_name, const KConfig& config, const SigmaTable& table);

/// Karras' grid, unless the JSON says something about it or asks for another one.
template <class Config>
Config with_karras_default(Config config, const Json& json) {
  const bool is_said = json.is_object() && json.contains("use_karras_sigmas");
  if (!is_said) config.use_karras_sigmas = !config.use_exponential_sigmas && !config.use_beta_sigmas;
  return config;
}

/// The user's sigmas (the last of them is left out) or timesteps, else the config's. A Karras, exponential or beta grid
/// runs over the whole table; a single step begins at the noisiest level, whatever the spacing.
SigmaGrid k_grid(const KConfig& config, const SigmaTable& table, const StartOptions& options);
/// Where the last step leads: to the last of the user's sigmas, else to 0.
double k_last(const StartOptions& options);

}  // namespace unnoise
