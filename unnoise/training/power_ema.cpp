#include "unnoise/training/power_ema.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_lstsq.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "unnoise/core/error.h"
#include "unnoise/nn/tensor.h"

namespace unnoise {
namespace {

void check_times(std::span<const PowerProfile> stored, double time) {
  if (stored.empty()) throw usage_error("an average cannot be rebuilt from none: no profile is stored");
  for (const PowerProfile& p : stored)
    if (!(p.time > 0) || !(p.gamma >= 0) || p.time > time)
      throw usage_error(
          fmt::format("stored profile: expected a time from 0 to {} and a gamma from 0, found time {} and gamma {}",
                      time, p.time, p.gamma));
}

double norm_squared(const PowerProfile& p) { return inner_product(p, p); }

/// (k / 2) coth(k T / 2) for p = k 2^-(T - tau)/h / (1 - 2^-T/h), k = ln 2 / h.
double norm_squared(const HalflifeProfile& p) {
  const double k = std::log(2.0) / p.halflife;
  return k / 2 / std::tanh(k * p.time / 2);
}

/// Minimizes x'Ax - 2 b'x over sum x = 1: [A 1; 1' 0] [x; mu] = [b; 1]. Neighbouring profiles are nearly parallel, and
/// A has a wide range of scales: it is scaled to a unit diagonal, and the solver drops what rounding has made of the
/// smallest singular values.
std::vector<double> solve_on_the_plane(std::span<const PowerProfile> stored, const std::vector<double>& b) {
  const auto n = static_cast<int64_t>(stored.size());
  const auto count = stored.size();
  std::vector<double> scale(count);
  for (size_t i = 0; i < count; ++i) scale[i] = 1 / std::sqrt(norm_squared(stored[i]));
  const double largest = *std::max_element(scale.begin(), scale.end());
  const Tensor matrix = at::zeros({n + 1, n + 1}, at::kDouble), right = at::zeros({n + 1, 1}, at::kDouble);
  auto a = matrix.accessor<double, 2>();
  auto r = right.accessor<double, 2>();
  for (int64_t i = 0; i < n; ++i) {
    const auto row = static_cast<size_t>(i);
    for (int64_t j = 0; j < n; ++j)
      a[i][j] = inner_product(stored[row], stored[static_cast<size_t>(j)]) * scale[row] * scale[static_cast<size_t>(j)];
    a[i][n] = a[n][i] = scale[row] / largest;
    r[i][0] = b[row] * scale[row];
  }
  r[n][0] = 1 / largest;
  const Tensor solution = std::get<0>(at::linalg_lstsq(matrix, right, /*rcond=*/1e-15, "gelsd"));
  std::vector<double> x(count);
  for (size_t i = 0; i < count; ++i) x[i] = solution[static_cast<int64_t>(i)][0].item<double>() * scale[i];
  return x;
}

template <class Profile>
ProfileFit fit(std::span<const PowerProfile> stored, const Profile& target) {
  check_times(stored, target.time);
  std::vector<double> b;
  for (const PowerProfile& p : stored) b.push_back(inner_product(p, target));
  ProfileFit result{.weights = solve_on_the_plane(stored, b)};
  // |target - sum x_i p_i|^2
  double distance = norm_squared(target);
  for (size_t i = 0; i < stored.size(); ++i) {
    distance -= 2 * result.weights[i] * b[i];
    for (size_t j = 0; j < stored.size(); ++j)
      distance += result.weights[i] * result.weights[j] * inner_product(stored[i], stored[j]);
  }
  result.residual = std::sqrt(std::max(0.0, distance) / norm_squared(target));
  return result;
}

}  // namespace

double sigma_rel_of(double gamma) { return std::sqrt((gamma + 1) / ((gamma + 3) * (gamma + 2) * (gamma + 2))); }

double gamma_of(double sigma_rel) {
  if (!(sigma_rel > 0 && sigma_rel <= kLargestSigmaRel))
    throw usage_error(
        fmt::format("sigma_rel: expected above 0 and at most {:.6f}, found {}", kLargestSigmaRel, sigma_rel));
  // gamma^3 + 7 gamma^2 + (16 - s) gamma + (12 - s) with s = sigma_rel^-2. At 1 / sigma_rel it is above 0 and convex:
  // Newton's steps fall on the largest root from the right.
  const double s = 1 / (sigma_rel * sigma_rel);
  double gamma = 1 / sigma_rel;
  for (int i = 0; i < 100; ++i) {
    const double value = ((gamma + 7) * gamma + 16 - s) * gamma + 12 - s;
    const double slope = (3 * gamma + 14) * gamma + 16 - s;
    const double next = gamma - value / slope;
    if (!(next < gamma)) break;
    gamma = next;
  }
  return std::max(gamma, 0.0);
}

double power_decay(double gamma, double before, double now) {
  return before > 0 ? std::exp((gamma + 1) * std::log1p((before - now) / now)) : 0.0;
}

double halflife_decay(double halflife, double rampup_ratio, double before, double now) {
  const double h = rampup_ratio > 0 ? std::min(halflife, rampup_ratio * before) : halflife;
  return h > 0 ? std::exp2((before - now) / h) : 0.0;
}

double profile_value(const PowerProfile& p, double tau) {
  return tau > p.time ? 0 : (p.gamma + 1) / p.time * std::pow(tau / p.time, p.gamma);
}

double profile_value(const HalflifeProfile& p, double tau) {
  const double k = std::log(2.0) / p.halflife;
  return tau > p.time ? 0 : -k / std::expm1(-k * p.time) * std::exp(-k * (p.time - tau));
}

double inner_product(const PowerProfile& a, const PowerProfile& b) {
  const bool a_first = a.time < b.time;
  const PowerProfile &first = a_first ? a : b, &last = a_first ? b : a;
  return (first.gamma + 1) * (last.gamma + 1) / ((first.gamma + last.gamma + 1) * last.time) *
         std::pow(first.time / last.time, last.gamma);
}

double inner_product(const PowerProfile& a, const HalflifeProfile& b) {
  // An incomplete gamma function, here by Simpson's rule.
  const auto product = [&](double tau) { return profile_value(a, tau) * profile_value(b, tau); };
  // Both profiles fall from a.time backwards, together at least at this rate; 60 nepers down nothing is left.
  const double rate = std::log(2.0) / b.halflife + a.gamma / a.time;
  const double begin = std::max(0.0, a.time - 60 / rate);
  constexpr int kIntervals = 4096;
  const double width = (a.time - begin) / kIntervals;
  double sum = product(begin) + product(a.time);
  for (int i = 1; i < kIntervals; ++i) sum += (i % 2 ? 4 : 2) * product(begin + i * width);
  return sum * width / 3;
}

ProfileFit fit_profile(std::span<const PowerProfile> stored, const PowerProfile& target) { return fit(stored, target); }
ProfileFit fit_profile(std::span<const PowerProfile> stored, const HalflifeProfile& target) {
  return fit(stored, target);
}

}  // namespace unnoise
