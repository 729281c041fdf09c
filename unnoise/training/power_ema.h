// Averages of the weights over the whole training with a power of the time as weight, and how to get one that nobody
// kept from those that somebody did: Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion
// Models" (EDM2), section 3 and appendix C.
#pragma once

#include <span>
#include <vector>

namespace unnoise {

/// EDM2 eq. 6: the average at time t weighs the weights of time tau by p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1),
/// 0 <= tau <= t. Time counts training pictures. The width of the peak grows with the training, so that its start is
/// forgotten; sigma_rel is that width, the standard deviation of p over t.

/// sqrt(1/12): gamma = 0, all moments of the training weigh the same.
inline constexpr double kLargestSigmaRel = 0.28867513459481287;
/// The largest root of (gamma + 2)^2 (gamma + 3) sigma_rel^2 = gamma + 1 (EDM2 eq. 8, algorithm 2). Error::usage unless
/// 0 < sigma_rel <= kLargestSigmaRel.
double gamma_of(double sigma_rel);
/// EDM2 eq. 8.
double sigma_rel_of(double gamma);

/// The weight of the old average when the time goes from `before` to `now` (EDM2 eq. 7):
/// beta = (before / now)^(gamma + 1). Averages made with it hold p's integral over each step exactly.
double power_decay(double gamma, double before, double now);
/// EDM (Karras et al. 2022, training_loop.py): 0.5^((now - before) / halflife), where the half-life is at most
/// rampup_ratio * before, so that the start of the training is forgotten (0 = no such limit). Pictures.
double halflife_decay(double halflife, double rampup_ratio, double before, double now);

/// Of one average: p with this gamma at this time.
struct PowerProfile {
  double time;   ///< pictures trained on, above 0
  double gamma;  ///< 0 or more
};
/// exp with this half-life, counted back from `time` and cut off at 0: what a constant decay leaves, without the
/// initial weights.
struct HalflifeProfile {
  double time;
  double halflife;
};

/// p at time tau: 0 after the profile's own time.
double profile_value(const PowerProfile& p, double tau);
double profile_value(const HalflifeProfile& p, double tau);

/// The integral of the product of two profiles (EDM2 appendix C, algorithm 3).
double inner_product(const PowerProfile& a, const PowerProfile& b);
double inner_product(const PowerProfile& a, const HalflifeProfile& b);

/// target ~ sum of weights[i] * stored[i].
struct ProfileFit {
  std::vector<double> weights;  ///< one a stored profile; they sum to 1
  double residual = 0;          ///< distance of the two profiles over the norm of the target; 0 = exact
};

/// The least-squares solution of EDM2 algorithm 3, among those whose weights sum to 1: the mean of the weights, by far
/// their largest part, is then kept exactly, which EDM2's unconstrained solution does not do. Profiles later than
/// the target are an Error::usage, as is an empty list.
ProfileFit fit_profile(std::span<const PowerProfile> stored, const PowerProfile& target);
ProfileFit fit_profile(std::span<const PowerProfile> stored, const HalflifeProfile& target);

}  // namespace unnoise
