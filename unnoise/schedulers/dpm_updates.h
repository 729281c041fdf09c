// The steps of DPM-Solver and DPM-Solver++, multistep and singlestep, with and without noise.
#pragma once

#include "unnoise/schedulers/dpm_solver.h"

namespace unnoise {

/// A step from level s to level t, h = lambda_t - lambda_s, of a method that knows the derivatives of the integrand in
/// the units of h:  x_t = x x_s + d0 D0 + d1 D1 + d2 D2 + noise N.  For DPM-Solver++ the weights are
///   alpha_t int_0^1 e^{(u-1)h} h (1, u, u^2/2) du    Lu et al. 2022, "DPM-Solver++", eq. 12
struct DpmTaylor {
  float x, d0, d1, d2, noise;
};
DpmTaylor dpm_taylor(DpmAlgorithm algorithm, const DpmLevel& s, const DpmLevel& t);

/// Multistep: formulas of order past.size(), 1 to 3, derivatives by differences of past outputs. `past`: see DpmRule.
DpmUpdate dpm_multistep_update(DpmAlgorithm algorithm, DpmSolverType type, const std::vector<DpmLevel>& levels,
                               const std::vector<size_t>& past);

/// The orders that diffusers' multistep classes take.
struct DpmOrders {
  int64_t highest;
  bool lower_order_final;  ///< lower in the last two steps of a run of fewer than 15
  bool euler_at_final;     ///< 1 in the last step

  /// At a step of the grid; 1 where it leads to the pure picture.
  int64_t at(size_t step, const std::vector<DpmLevel>& levels) const;
};

/// All updates of a multistep run.
DpmPlan plan_multistep(DpmAlgorithm algorithm, DpmSolverType type, const DpmOrders& orders,
                       const std::vector<DpmLevel>& levels, int64_t begin);

}  // namespace unnoise
