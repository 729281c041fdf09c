#include "unnoise/schedulers/dpm_grid.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/scalar_math.h"
#include "unnoise/schedulers/solver.h"

namespace unnoise {
namespace {

/// Sigmas in double, as NumPy has them, the timestep of each, and the level after the last.
struct Path {
  std::vector<double> sigmas, timesteps;
  double final_sigma = 0;
};

std::vector<double> as_doubles(const std::vector<int64_t>& values) { return {values.begin(), values.end()}; }

/// To the nearest, halves to even: NumPy's round.
int64_t rounded(double x) { return static_cast<int64_t>(std::nearbyint(x)); }

std::vector<double> own_timesteps(std::string_view name, const DpmConfig& c, const std::vector<double>& timesteps) {
  if (c.use_flow_sigmas || c.use_lu_lambdas || !one_grid(name, c).empty())
    throw usage_error(fmt::format("{}: own timesteps exclude Karras, exponential, beta, Lu and flow sigmas", name),
                      "Turn the grid off, or leave the timesteps to it.");
  return as_doubles(whole_timesteps(timesteps, c.num_train_timesteps));
}

bool has_sigma_grid(const DpmConfig& c) {
  return c.use_karras_sigmas || c.use_exponential_sigmas || c.use_beta_sigmas || c.use_lu_lambdas;
}

std::vector<double> grid_sigmas(const DpmConfig& c, const SigmaTable& table, int64_t n, bool rising) {
  if (c.use_lu_lambdas) {
    std::vector<double> sigmas = linspace(table.log_sigmas().back(), table.log_sigmas().front(), n);
    for (double& sigma : sigmas) sigma = std::exp(sigma);
    return sigmas;
  }
  double low = c.sigma_min.value_or(table.sigmas().front()), high = c.sigma_max.value_or(table.sigmas().back());
  if (rising) std::swap(low, high);
  if (c.use_karras_sigmas) return karras_sigmas(low, high, n);
  if (c.use_exponential_sigmas) return exponential_sigmas(low, high, n);
  return beta_sigmas(low, high, n);
}

/// Karras, exponential, beta, Lu. For a flow: sigma / alpha becomes sigma (alpha + sigma = 1).
Path sigma_grid_path(const DpmConfig& c, const SigmaTable& table, int64_t n, const DpmGridRules& rules) {
  Path path{grid_sigmas(c, table, n, rules.inverse), {}};
  if (rules.inverse) std::reverse(path.sigmas.begin(), path.sigmas.end());  // all paths fall, until the end of dpm_grid
  const bool rounds = (c.use_karras_sigmas || c.use_lu_lambdas) &&
                      (rules.rounds_cosine || c.beta_schedule != BetaSchedule::squaredcos_cap_v2);
  for (double& sigma : path.sigmas) {
    double t = table.timestep(sigma);
    if (c.use_flow_sigmas) {
      sigma = sigma / (sigma + 1);
      t = sigma * static_cast<double>(c.num_train_timesteps);
    } else if (rounds) {
      t = std::nearbyint(t);
    }
    path.timesteps.push_back(t);
  }
  return path;
}

/// The sigmas of flow matching are the times: N of N+1 points from 1 to 1/T, shifted.
Path flow_path(const DpmConfig& c, const StartOptions& options, const DpmGridRules& rules) {
  const auto train = static_cast<double>(c.num_train_timesteps);
  Path path;
  double shift = c.flow_shift;
  if (options.sigmas) {
    path.sigmas = *options.sigmas;
  } else if (rules.flow_of_unipc) {
    path.sigmas = linspace(1, 1 / train, options.steps + 1);
    path.sigmas.pop_back();
  } else {  // the same line, counted from 0
    const auto alphas = linspace(1, 1 / train, options.steps + 1);
    for (auto alpha = alphas.rbegin(); alpha + 1 != alphas.rend(); ++alpha) path.sigmas.push_back(1 - *alpha);
  }
  if (options.mu) shift = c.time_shift_type == TimeShift::exponential ? std::exp(*options.mu) : *options.mu;
  for (double& sigma : path.sigmas)
    sigma = options.mu && rules.flow_of_unipc ? shift / (shift + (1 / sigma - 1))
                                              : shift * sigma / (1 + (shift - 1) * sigma);
  // Stretched so that the last becomes shift_terminal
  if (const double left = 1 - path.sigmas.back(); c.shift_terminal.value_or(0) != 0 && left > 0)
    for (double& sigma : path.sigmas) sigma = 1 - (1 - sigma) / (left / (1 - *c.shift_terminal));
  // At sigma = 1 lambda is -inf.
  for (double& sigma : path.sigmas)
    if (static_cast<float>(sigma) >= 1 || (&sigma == path.sigmas.data() && std::abs(sigma - 1) < 1e-6)) sigma -= 1e-6;
  for (const double sigma : path.sigmas) path.timesteps.push_back(sigma * train);
  return path;
}

/// A list of a user, without the 0 that it may end with.
std::vector<double> checked_sigmas(std::string_view name, const DpmConfig& c, std::vector<double> sigmas) {
  if (!c.use_flow_sigmas || has_sigma_grid(c))
    throw usage_error(fmt::format("{}: own sigmas need use_flow_sigmas, and no grid besides", name));
  if (!sigmas.empty() && sigmas.back() == 0) sigmas.pop_back();
  if (sigmas.empty()) throw usage_error("own sigmas: the list is empty");
  for (size_t i = 0; i < sigmas.size(); ++i)
    if (!(sigmas[i] > 0 && sigmas[i] <= 1) || (i > 0 && sigmas[i] >= sigmas[i - 1]))
      throw usage_error(fmt::format("own sigmas: expected a falling list from at most 1 to above 0, found {}{}",
                                    sigmas[i], i > 0 ? fmt::format(" after {}", sigmas[i - 1]) : ""));
  return sigmas;
}

void check_mu(std::string_view name, const DpmConfig& c, const StartOptions& options, const DpmGridRules& rules) {
  if (rules.flow_of_unipc && c.use_dynamic_shifting && !options.mu)
    throw usage_error(fmt::format("{}: use_dynamic_shifting needs `mu`", name));
  if (!options.mu) return;
  const double shift = c.time_shift_type == TimeShift::exponential ? std::exp(*options.mu) : *options.mu;
  if (!(shift > 0 && std::isfinite(shift)))
    throw usage_error(fmt::format("mu: {} gives a shift of {}, expected above 0", *options.mu, shift));
}

void check_grid(std::string_view name, const DpmConfig& c, const DpmGridRules& rules) {
  const auto grid = one_grid(name, {{"use_karras_sigmas", c.use_karras_sigmas},
                                    {"use_exponential_sigmas", c.use_exponential_sigmas},
                                    {"use_beta_sigmas", c.use_beta_sigmas},
                                    {"use_lu_lambdas", c.use_lu_lambdas}});
  if (c.steps_offset < 0)
    throw usage_error(fmt::format("{}: steps_offset: expected 0 or more, found {}", name, c.steps_offset));
  for (const auto& [key, value] : {std::pair{"sigma_min", c.sigma_min}, {"sigma_max", c.sigma_max}})
    if (value && !(*value > 0 && std::isfinite(*value)))
      throw usage_error(fmt::format("{}: {}: expected above 0, found {}", name, key, *value));
  if (c.sigma_min && c.sigma_max && *c.sigma_min > *c.sigma_max)
    throw usage_error(fmt::format("{}: sigma_min {} is above sigma_max {}", name, *c.sigma_min, *c.sigma_max));
  if (std::isnan(c.lambda_min_clipped))
    throw usage_error(fmt::format("{}: lambda_min_clipped: expected a number, found NaN", name));

  if (!(c.flow_shift > 0 && std::isfinite(c.flow_shift)))
    throw usage_error(fmt::format("{}: flow_shift: expected above 0, found {}", name, c.flow_shift));
  if (c.time_shift_type != TimeShift::exponential && !rules.flow_of_unipc)
    throw usage_error(fmt::format("{}: time_shift_type: only \"exponential\" is known", name));
  if (c.shift_terminal && !c.use_flow_sigmas)
    throw usage_error(fmt::format("{}: shift_terminal is for use_flow_sigmas only", name));
  if (c.shift_terminal && !(*c.shift_terminal >= 0 && *c.shift_terminal < 1))
    throw usage_error(fmt::format("{}: shift_terminal: expected from 0 to below 1, found {}", name, *c.shift_terminal));
  if (c.use_flow_sigmas && !grid.empty() && !rules.flow_of_unipc)
    throw usage_error(fmt::format("{}: use_flow_sigmas and {}: give at most one of them", name, grid),
                      "UniPCMultistepScheduler can combine them.");
  if (c.use_flow_sigmas && c.num_train_timesteps < 2)
    throw usage_error(fmt::format("{}: use_flow_sigmas needs at least 2 num_train_timesteps", name));
}

}  // namespace

void check_config(std::string_view class_name, const DpmConfig& config, const DpmGridRules& rules) {
  check_order(class_name, "solver_order", config.solver_order, 3);
  check_limits({}, config);
  check_grid(class_name, config, rules);
  if (config.prediction_type == PredictionType::flow_prediction && !config.use_flow_sigmas)
    throw usage_error(fmt::format("{}: flow_prediction needs use_flow_sigmas", class_name),
                      "A network of flow matching knows no betas.");
  if (config.prediction_type == PredictionType::v_prediction && config.use_flow_sigmas)
    throw usage_error(fmt::format("{}: v_prediction and use_flow_sigmas exclude each other", class_name),
                      "v is defined by alpha^2 + sigma^2 = 1, a flow by alpha + sigma = 1: \"flow_prediction\".");
}

DpmLevel vp_level(float sigma) {
  const float alpha = 1 / torch_sqrt(sigma * sigma + 1), s = sigma * alpha;
  return {alpha, s, torch_log(alpha) - torch_log(s)};
}

DpmLevel flow_level(float sigma) {
  const float alpha = 1 - sigma;
  return {alpha, sigma, torch_log(alpha) - torch_log(sigma)};
}

int64_t unclipped_timesteps(std::string_view class_name, const DpmConfig& config, const NoiseSchedule& noise) {
  Tensor abar = noise.alphas_cumprod().clone();
  if (config.rescale_betas_zero_snr) abar[-1] = std::ldexp(1.0, -24);
  const Tensor lambda = abar.sqrt().log() - (1 - abar).sqrt().log();
  const auto below = (lambda < config.lambda_min_clipped).sum().item<int64_t>();
  const int64_t left = noise.num_train_timesteps() - below;
  if (left < 1)
    throw usage_error(
        fmt::format("{}: lambda_min_clipped: {} leaves no timestep", class_name, config.lambda_min_clipped));
  return left;
}

std::vector<int64_t> dpm_timesteps(const DpmConfig& config, int64_t steps, int64_t last, bool cleanest) {
  const int64_t train = config.num_train_timesteps;
  if (steps < 1) throw usage_error(fmt::format("number of sampling steps: expected at least 1, found {}", steps));
  if (steps > last)
    throw usage_error(fmt::format("number of sampling steps: {} is more than the {} timesteps that the model {}", steps,
                                  last, last < train ? "has above lambda_min_clipped" : "was trained with"),
                      fmt::format("Ask for at most {} steps.", last));
  const int64_t first = cleanest ? steps - 1 : steps;  // of the points 0 to N
  std::vector<int64_t> t;
  switch (config.timestep_spacing) {
    case TimestepSpacing::linspace: {
      const auto points = linspace(0, static_cast<double>(last - 1), steps + 1);
      for (int64_t i = first; i > first - steps; --i) t.push_back(rounded(points[static_cast<size_t>(i)]));
      break;
    }
    case TimestepSpacing::leading: {
      const int64_t stride = std::max<int64_t>(last / (steps + 1), 1);
      const int64_t shift = std::min(config.steps_offset, train - 1 - first * stride);
      for (int64_t i = first; i > first - steps; --i) t.push_back(i * stride + shift);
      break;
    }
    case TimestepSpacing::trailing:
      for (const double point :
           arange(static_cast<double>(last), 0, -static_cast<double>(train) / static_cast<double>(steps)))
        if (rounded(point) > 0) t.push_back(rounded(point) - 1);
      break;
  }
  return t;
}

DpmGrid dpm_grid(std::string_view class_name, const DpmConfig& config, const NoiseSchedule& noise,
                 const StartOptions& given, const DpmGridRules& rules) {
  StartOptions options = given;
  const SigmaTable table(noise);
  if (const float most = table.sigmas().back(); !config.use_flow_sigmas && !std::isfinite(most * most))
    throw usage_error(fmt::format("{}: the betas lead to pure noise (abar = 0), where lambda is infinite", class_name),
                      "Lower beta_end, or set rescale_betas_zero_snr where the class has it.");
  check_mu(class_name, config, options, rules);
  bool ends_at_zero = config.final_sigmas_type == FinalSigmas::zero;
  if (options.sigmas) {
    ends_at_zero = ends_at_zero || (!options.sigmas->empty() && options.sigmas->back() == 0);
    options.sigmas = checked_sigmas(class_name, config, *options.sigmas);
  } else if (options.steps < 1 && !options.timesteps) {
    throw usage_error(fmt::format("number of sampling steps: expected at least 1, found {}", options.steps));
  }

  Path path;
  bool at_table = rules.ends_at_table;
  if (!options.timesteps && has_sigma_grid(config)) {
    path = sigma_grid_path(config, table, options.steps, rules);
  } else if (!options.timesteps && config.use_flow_sigmas) {
    path = flow_path(config, options, rules);
  } else {
    const int64_t last = unclipped_timesteps(class_name, config, noise);
    path.timesteps = options.timesteps ? own_timesteps(class_name, config, *options.timesteps)
                                       : as_doubles(dpm_timesteps(config, options.steps, last, rules.inverse));
    for (const double t : path.timesteps) path.sigmas.push_back(table.sigma(t));
    at_table = true;
    if (rules.inverse) path.final_sigma = table.sigma(static_cast<double>(last - 1));
  }
  if (rules.inverse) {
    std::reverse(path.sigmas.begin(), path.sigmas.end());
    std::reverse(path.timesteps.begin(), path.timesteps.end());
    if (!at_table) path.final_sigma = path.sigmas.back();
  } else {
    path.final_sigma = ends_at_zero ? 0 : at_table ? table.sigmas().front() : path.sigmas.back();
  }

  DpmGrid grid;
  for (const double t : path.timesteps) grid.timesteps.push_back(static_cast<int64_t>(t));
  path.sigmas.push_back(path.final_sigma);
  for (const double sigma : path.sigmas) {
    grid.sigmas.push_back(static_cast<float>(sigma));
    grid.levels.push_back(config.use_flow_sigmas ? flow_level(grid.sigmas.back()) : vp_level(grid.sigmas.back()));
  }
  return grid;
}

}  // namespace unnoise
