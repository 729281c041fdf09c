// Config keys of DPM-Solver and its kin, in diffusers' names and with its defaults. No class has all of them: each
// lists in its fields() those that it has, the others keep their default.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "unnoise/schedulers/noise_schedule.h"
#include "unnoise/schedulers/sigma_grids.h"
#include "unnoise/schedulers/timesteps.h"
#include "unnoise/schedulers/x0_limits.h"

namespace unnoise {

/// Lu et al. 2022, "DPM-Solver" (integrates eps) and "DPM-Solver++" (integrates x0); sde: with fresh noise at each
/// step. DEIS' config names the first.
enum class DpmAlgorithm { dpmsolver, dpmsolver_pp, sde_dpmsolver, sde_dpmsolver_pp };

constexpr auto enum_names(DpmAlgorithm) {
  using enum DpmAlgorithm;
  return std::array{std::pair{dpmsolver, "dpmsolver"}, std::pair{dpmsolver_pp, "dpmsolver++"},
                    std::pair{sde_dpmsolver, "sde-dpmsolver"}, std::pair{sde_dpmsolver_pp, "sde-dpmsolver++"},
                    std::pair{dpmsolver_pp, "deis"}};
}

constexpr bool predicts_x0(DpmAlgorithm a) {
  return a == DpmAlgorithm::dpmsolver_pp || a == DpmAlgorithm::sde_dpmsolver_pp;
}
constexpr bool is_stochastic(DpmAlgorithm a) {
  return a == DpmAlgorithm::sde_dpmsolver || a == DpmAlgorithm::sde_dpmsolver_pp;
}

/// How a second order step weighs the derivative; the names of DEIS and UniPC count as midpoint.
enum class DpmSolverType { midpoint, heun };

constexpr auto enum_names(DpmSolverType) {
  using enum DpmSolverType;
  return std::array{std::pair{midpoint, "midpoint"}, std::pair{heun, "heun"}, std::pair{midpoint, "logrho"},
                    std::pair{midpoint, "bh1"}, std::pair{midpoint, "bh2"}};
}

/// The level that the last step leads to.
enum class FinalSigmas { zero, sigma_min };

constexpr auto enum_names(FinalSigmas) {
  using enum FinalSigmas;
  return std::array{std::pair{zero, "zero"}, std::pair{sigma_min, "sigma_min"}};
}

/// What `mu` does to the sigmas of flow matching.
enum class TimeShift { exponential, linear };

constexpr auto enum_names(TimeShift) {
  using enum TimeShift;
  return std::array{std::pair{exponential, "exponential"}, std::pair{linear, "linear"}};
}

struct DpmConfig : NoiseOptions, GridOptions, SigmaGridOptions, ThresholdOptions {
  int64_t solver_order = 2;
  PredictionType prediction_type = PredictionType::epsilon;
  bool lower_order_final = true;
  bool euler_at_final = false;
  bool use_lu_lambdas = false;
  bool use_flow_sigmas = false;
  double flow_shift = 1.0;
  FinalSigmas final_sigmas_type = FinalSigmas::zero;
  double lambda_min_clipped = -std::numeric_limits<double>::infinity();
  std::optional<std::string> variance_type;
  bool use_dynamic_shifting = false;
  TimeShift time_shift_type = TimeShift::exponential;
  std::optional<double> sigma_min, sigma_max, shift_terminal;

  DpmConfig() { timestep_spacing = TimestepSpacing::linspace; }

  static constexpr auto order_field() {
    return std::tuple{field("solver_order", &DpmConfig::solver_order, "order of the method, 1 to 3")};
  }
  static constexpr auto final_order_field() {
    return std::tuple{field("lower_order_final", &DpmConfig::lower_order_final,
                            "lower the order in the last steps (with fewer than 15 steps): more stable")};
  }
  static constexpr auto euler_field() {
    return std::tuple{
        field("euler_at_final", &DpmConfig::euler_at_final, "order 1 in the last step, with any number of steps")};
  }
  static constexpr auto prediction_fields() {
    return std::tuple_cat(
        std::tuple{field("prediction_type", &DpmConfig::prediction_type, "what the network predicts")},
        ThresholdOptions::fields());
  }
  static constexpr auto grid_fields() {
    return std::tuple_cat(
        SigmaGridOptions::fields(),
        std::tuple{field("use_flow_sigmas", &DpmConfig::use_flow_sigmas,
                         "flow matching: x_t = (1 - sigma) x0 + sigma eps, sigmas from 1 to 0"),
                   field("flow_shift", &DpmConfig::flow_shift, "above 1: more steps at the noisy end of a flow")});
  }
  static constexpr auto lu_field() {
    return std::tuple{field("use_lu_lambdas", &DpmConfig::use_lu_lambdas,
                            "equal steps in lambda = log(alpha / sigma) (Lu et al. 2022, section 3.4)")};
  }
  static constexpr auto final_sigmas_field() {
    return std::tuple{
        field("final_sigmas_type", &DpmConfig::final_sigmas_type, "where the last step leads: zero or sigma_min")};
  }
  static constexpr auto clip_fields() {
    return std::tuple{field("lambda_min_clipped", &DpmConfig::lambda_min_clipped,
                            "leave out timesteps of a lambda below this (-5.1 for squaredcos_cap_v2)"),
                      field("variance_type", &DpmConfig::variance_type,
                            "\"learned\" or \"learned_range\" where the network also tells the variance, which is not "
                            "used")};
  }
  static constexpr auto spacing_fields() { return GridOptions::fields(); }
  static constexpr auto zero_snr_field() {
    return std::tuple{field("rescale_betas_zero_snr", &DpmConfig::rescale_betas_zero_snr,
                            "make the last timestep pure noise (Lin et al. 2023, algorithm 1)")};
  }
  static constexpr auto shifting_fields() {
    return std::tuple{field("use_dynamic_shifting", &DpmConfig::use_dynamic_shifting, "flow_shift comes from `mu`"),
                      field("time_shift_type", &DpmConfig::time_shift_type, "what `mu` does: exponential or linear")};
  }
};

/// Throws Error::usage unless `order`, the value of `key`, is from 1 to `highest`.
void check_order(std::string_view class_name, std::string_view key, int64_t order, int64_t highest);

/// `given` with the values of these keys as the class understood them: "deis" becomes "dpmsolver++", as in what
/// diffusers then saves.
Json settled_config(const Json& given, const Json& known, std::initializer_list<const char*> keys);

}  // namespace unnoise
