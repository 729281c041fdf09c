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

/// Multistep: order of past.size(), 1 to 3, derivatives by differences of past outputs. `past`: see DpmRule.
DpmUpdate dpm_multistep_update(DpmAlgorithm algorithm, DpmSolverType type, const std::vector<DpmLevel>& levels,
                               const std::vector<size_t>& past);

/// The order that diffusers' multistep classes take at a step: fewer in the last two of a short run, one where the
/// step leads to the pure picture.
int64_t dpm_multistep_order(const DpmConfig& config, const std::vector<DpmLevel>& levels, size_t step);

}  // namespace unnoise
