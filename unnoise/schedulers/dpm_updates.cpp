#include "unnoise/schedulers/dpm_updates.h"

#include <algorithm>

#include "unnoise/core/error.h"
#include "unnoise/schedulers/scalar_math.h"

namespace unnoise {

// float32 and the order of operations are those of diffusers: with many steps h is small, and what cancels in these
// formulas is visible in its pictures. h < 0 is possible: the table of a model of zero terminal SNR is not monotone in
// its last two entries. No noise is added there.
DpmTaylor dpm_taylor(DpmAlgorithm algorithm, const DpmLevel& s, const DpmLevel& t) {
  const float h = t.lambda - s.lambda;
  switch (algorithm) {
    case DpmAlgorithm::dpmsolver_pp: {
      const float e = torch_exp(-h) - 1;
      return {t.sigma / s.sigma, -(t.alpha * e), t.alpha * (e / h + 1), -(t.alpha * ((e + h) / (h * h) - 0.5f)), 0};
    }
    case DpmAlgorithm::dpmsolver: {
      const float e = torch_exp(h) - 1;
      return {t.alpha / s.alpha, -(t.sigma * e), -(t.sigma * (e / h - 1)), -(t.sigma * ((e - h) / (h * h) - 0.5f)), 0};
    }
    case DpmAlgorithm::sde_dpmsolver_pp: {
      const float h2 = 2 * h, e = 1 - torch_exp(-h2);
      return {t.sigma / s.sigma * torch_exp(-h), t.alpha * e, t.alpha * (e / -h2 + 1),
              t.alpha * ((e - h2) / (h2 * h2) - 0.5f), t.sigma * torch_sqrt(std::max(e, 0.0f))};
    }
    case DpmAlgorithm::sde_dpmsolver: {  // its paper has no third order
      const float e = torch_exp(h) - 1;
      return {t.alpha / s.alpha, -2 * (t.sigma * e), -2 * (t.sigma * (e / h - 1)), 0,
              t.sigma * torch_sqrt(std::max(torch_exp(2 * h) - 1, 0.0f))};
    }
  }
  throw usage_error("unknown algorithm_type");
}

DpmUpdate dpm_multistep_update(DpmAlgorithm algorithm, DpmSolverType type, const std::vector<DpmLevel>& levels,
                               const std::vector<size_t>& past) {
  const size_t i = past[0];
  const auto [x, d0, d1, d2, noise] = dpm_taylor(algorithm, levels[i], levels[i + 1]);
  if (past.size() == 1) return {x, {d0}, noise};

  const float h = levels[i + 1].lambda - levels[i].lambda;
  const auto r = [&](size_t k) { return (levels[past[k]].lambda - levels[past[k + 1]].lambda) / h; };
  const double r0 = r(0);
  if (past.size() == 2) {  // D1 = (m0 - m1) / r0
    const double w = (type == DpmSolverType::midpoint ? d0 / 2 : d1) / r0;
    return {x, {d0 + w, -w}, noise};
  }
  // D1 = D10 + r0 (D10 - D11) / (r0 + r1), D2 = (D10 - D11) / (r0 + r1), D10 = (m0 - m1) / r0, D11 = (m1 - m2) / r1
  // This D2, of diffusers and of the authors' code, is half the second derivative: the method is of order 2 only.
  const double r1 = r(1), w = (d1 * r0 + d2) / (r0 + r1);
  const double w10 = (d1 + w) / r0, w11 = -w / r1;
  return {x, {d0 + w10, w11 - w10, -w11}, noise};
}

int64_t DpmOrders::at(size_t step, const std::vector<DpmLevel>& levels) const {
  const size_t steps = levels.size() - 1, left = steps - step;  // this one included
  const bool lowers = lower_order_final && steps < 15;
  if (left == 1 && (euler_at_final || lowers || levels.back().sigma == 0)) return 1;
  return left == 2 && lowers ? std::min<int64_t>(highest, 2) : highest;
}

DpmPlan plan_multistep(DpmAlgorithm algorithm, DpmSolverType type, const DpmOrders& orders,
                       const std::vector<DpmLevel>& levels, int64_t begin) {
  return plan_steps(levels, begin, orders.highest, [&](size_t step, std::vector<size_t> past) {
    past.resize(std::min(past.size(), static_cast<size_t>(orders.at(step, levels))));
    return dpm_multistep_update(algorithm, type, levels, past);
  });
}

}  // namespace unnoise
