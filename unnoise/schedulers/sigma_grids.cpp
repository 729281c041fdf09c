#include "unnoise/schedulers/sigma_grids.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <cmath>

#include "unnoise/core/error.h"

namespace unnoise {

std::string_view one_grid(std::string_view class_name, const std::vector<GridSwitch>& switches) {
  std::string_view found;
  for (const auto& [name, on] : switches) {
    if (!on) continue;
    if (!found.empty())
      throw usage_error(fmt::format("{}: {} and {}: give at most one of them", class_name, found, name));
    found = name;
  }
  return found;
}

std::string_view one_grid(std::string_view class_name, const SigmaGridOptions& o) {
  return one_grid(class_name, {{"use_karras_sigmas", o.use_karras_sigmas},
                               {"use_exponential_sigmas", o.use_exponential_sigmas},
                               {"use_beta_sigmas", o.use_beta_sigmas}});
}

std::vector<double> linspace(double first, double last, int64_t n) {
  std::vector<double> out;
  const double step = n > 1 ? (last - first) / static_cast<double>(n - 1) : 0;
  for (int64_t i = 0; i < n; ++i) out.push_back(static_cast<double>(i) * step + first);
  if (n > 1) out.back() = last;
  return out;
}

std::vector<double> arange(double start, double stop, double step) {
  const auto n = static_cast<int64_t>(std::ceil((stop - start) / step));
  // NumPy takes its stride from the rounded second element, which decides ties.
  const double stride = (start + step) - start;
  std::vector<double> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(start + static_cast<double>(i) * stride);
  return out;
}

// Karras et al. 2022, eq. 5
std::vector<double> karras_sigmas(double sigma_min, double sigma_max, int64_t n, double rho) {
  const double low = std::pow(sigma_min, 1 / rho), high = std::pow(sigma_max, 1 / rho);
  std::vector<double> out;
  for (const double ramp : linspace(0, 1, n)) out.push_back(std::pow(high + ramp * (low - high), rho));
  return out;
}

std::vector<double> exponential_sigmas(double sigma_min, double sigma_max, int64_t n) {
  std::vector<double> out = linspace(std::log(sigma_max), std::log(sigma_min), n);
  for (double& sigma : out) sigma = std::exp(sigma);
  return out;
}

std::vector<double> beta_sigmas(double sigma_min, double sigma_max, int64_t n, double a, double b) {
  const boost::math::beta_distribution<double> beta(a, b);
  std::vector<double> out;
  for (const double p : linspace(0, 1, n))
    out.push_back(sigma_min + boost::math::quantile(beta, 1 - p) * (sigma_max - sigma_min));
  return out;
}

SigmaTable::SigmaTable(const NoiseSchedule& noise) {
  Tensor abar = noise.alphas_cumprod().clone();
  if (noise.options().rescale_betas_zero_snr) abar[-1] = std::ldexp(1.0, -24);
  const Tensor sigmas = ((1 - abar) / abar).sqrt().contiguous();
  sigmas_.assign(sigmas.const_data_ptr<float>(), sigmas.const_data_ptr<float>() + sigmas.numel());
  for (const float sigma : sigmas_) log_sigmas_.push_back(std::log(sigma));
}

double SigmaTable::sigma(double t) const {
  const auto last = static_cast<double>(sigmas_.size() - 1);
  if (!(t > 0)) return sigmas_.front();
  if (t >= last) return sigmas_.back();
  const double below = std::floor(t);
  const auto i = static_cast<size_t>(below);
  const double low = sigmas_[i], high = sigmas_[i + 1];
  return (high - low) * (t - below) + low;
}

double SigmaTable::timestep(double sigma) const {
  const double log_sigma = std::log(std::max(sigma, 1e-10));
  if (log_sigmas_.size() < 2) return 0;
  // The last level at or below this one (with zero terminal SNR the table falls at its end); the last interval serves
  // what lies above the table.
  const auto below = std::find_if(log_sigmas_.rbegin(), log_sigmas_.rend(),
                                  [&](float level) { return static_cast<double>(level) <= log_sigma; });
  const auto found = std::max<int64_t>(log_sigmas_.rend() - below - 1, 0);
  const auto i = std::min<int64_t>(found, static_cast<int64_t>(log_sigmas_.size()) - 2);
  const double low = log_sigmas_[static_cast<size_t>(i)], high = log_sigmas_[static_cast<size_t>(i) + 1];
  const double w = std::clamp((low - log_sigma) / (low - high), 0.0, 1.0);
  return (1 - w) * static_cast<double>(i) + w * static_cast<double>(i + 1);
}

}  // namespace unnoise
