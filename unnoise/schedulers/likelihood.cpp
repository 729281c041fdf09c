#include "unnoise/schedulers/likelihood.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "unnoise/core/error.h"

namespace unnoise {
namespace {

constexpr OdeSteps kSteps{.first = 0.1, .longest = 2};  // in log sigma

/// f and its divergence at (y, sigma): [B,d] and [B].
struct Flow {
  Tensor f;
  Tensor divergence;
};

Flow flow(const Denoiser& denoise, const Tensor& y, double sigma, const std::vector<Tensor>& probes) {
  const c10::AutoGradMode with_grad(true);
  Tensor leaf = y.detach().requires_grad_(true);
  const Tensor denoised = denoise(leaf, sigma);
  const auto d = static_cast<double>(y.numel() / y.size(0));
  Tensor trace = at::zeros({y.size(0)}, y.options());
  for (size_t i = 0; i < probes.size(); ++i) {
    leaf.mutable_grad() = Tensor();
    // inputs = {leaf}: the parameters' gradients stay untouched
    denoised.backward(probes[i], i + 1 < probes.size(), false, at::TensorList{leaf});
    trace += (leaf.grad() * probes[i]).flatten(1).sum(1);
  }
  const c10::NoGradGuard no_grad;
  return {y - denoised.detach(), d - trace / static_cast<double>(probes.size())};
}

double scale_at(double tau) { return std::sqrt(1 + std::exp(2 * tau)); }

/// log N(y; 0, variance), of each row, in double.
Tensor log_normal(const Tensor& y, double variance) {
  const auto d = static_cast<double>(y.numel() / y.size(0));
  return y.to(at::kDouble).flatten(1).square().sum(1) * (-0.5 / variance) -
         0.5 * d * std::log(2 * std::numbers::pi * variance);
}

void check(const LikelihoodOptions& o) {
  if (!(o.sigma_min > 0 && o.sigma_min < o.sigma_max && std::isfinite(o.sigma_max)))
    throw usage_error(
        fmt::format("likelihood: expected 0 < sigma_min < sigma_max, found {} and {}", o.sigma_min, o.sigma_max));
  if (o.probes < 1) throw usage_error(fmt::format("likelihood: expected at least 1 probe, found {}", o.probes));
  check_tolerance(o.tolerance);
}

}  // namespace

Likelihood log_likelihood(const Denoiser& denoise, const Tensor& x, const LikelihoodOptions& options, Rng& rng) {
  check(options);
  const c10::NoGradGuard no_grad;
  const int64_t batch = x.size(0), d = x.numel() / batch;
  std::vector<Tensor> probes;
  for (int64_t i = 0; i < options.probes; ++i) {
    const Tensor noise = rng.normal_like(x);
    probes.push_back(noise.ge(0).to(x.scalar_type()) * 2 - 1);
  }

  // The state is z = y / sqrt(1 + sigma^2), which has unit size on the whole way, and in its last column the integral
  // of the divergence, scaled so that the tolerance holds for its error a dimension.
  const double unit = std::sqrt(static_cast<double>(d));
  const double begin = std::log(options.sigma_min), end = std::log(options.sigma_max);
  const Tensor none = at::zeros({batch, 1}, x.options());
  DormandPrince ode(at::cat({x.flatten(1) / scale_at(begin), none}, 1), begin, end, kSteps, options.tolerance);
  Likelihood result;
  while (!ode.is_done()) {
    const double size = scale_at(ode.s()), sigma2 = size * size - 1;
    const Tensor y = (ode.y().narrow(1, 0, d) * size).reshape(x.sizes());
    const auto [f, divergence] = flow(denoise, y, std::exp(ode.s()), probes);
    ++result.model_calls;
    const Tensor dz = (f - y * (sigma2 / (size * size))) / size;
    ode.advance(at::cat({dz.flatten(1), divergence.unsqueeze(1) / unit}, 1));
  }
  const double size = scale_at(end);
  const Tensor y = ode.y().narrow(1, 0, d) * size;
  result.log_p = log_normal(y, size * size) + ode.y().select(1, d).to(at::kDouble) * unit;
  return result;
}

Tensor bits_per_dim(const Tensor& log_p, int64_t dimensions) {
  const double bin = std::log2(2.0 / 256);
  return -log_p.to(at::kDouble) / (static_cast<double>(dimensions) * std::numbers::ln2) - bin;
}

Tensor dequantized(const Tensor& images, Rng& rng) {
  const Tensor levels = ((images + 1) * 127.5).round();
  return (levels + rng.uniform(images.sizes().vec()).to(images.options())) / 128 - 1;
}

}  // namespace unnoise
