// Data whose perfect denoiser and whose probability-flow path are known, so that a sampler can be judged without a
// network.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>

#include <cmath>
#include <vector>

#include "unnoise/schedulers/scheduler.h"
#include "unnoise/schedulers/sigma_grids.h"

namespace unnoise::closed_form {

/// Every pixel by itself: sum_k weight_k N(mean_k, std^2).
struct Mixture {
  std::vector<double> means{0.0};
  double std = 1.0;

  double mean() const {
    double sum = 0;
    for (const double m : means) sum += m;
    return sum / static_cast<double>(means.size());
  }
  /// The central moments of the data.
  double variance() const {
    double sum = 0;
    for (const double m : means) sum += std * std + (m - mean()) * (m - mean());
    return sum / static_cast<double>(means.size());
  }
  double fourth_moment() const {
    double sum = 0;
    for (const double m : means) {
      const double d = m - mean(), v = std * std;
      sum += d * d * d * d + 6 * d * d * v + 3 * v * v;
    }
    return sum / static_cast<double>(means.size());
  }

  /// E[x0 | y = x0 + sigma eps], y [B,...].
  Tensor denoised(const Tensor& y, double sigma) const {
    const double v = std * std + sigma * sigma;
    std::vector<Tensor> logits, parts;
    for (const double m : means) {
      logits.push_back((y - m).square() * (-0.5 / v));
      parts.push_back((m * sigma * sigma + std * std * y) / v);
    }
    return (at::softmax(at::stack(logits), 0) * at::stack(parts)).sum(0);
  }

  /// One Gaussian only: where the probability-flow ODE takes y from sigma to `to`.
  Tensor flow(const Tensor& y, double sigma, double to) const {
    const double m = means.front();
    return m + (y - m) * std::sqrt((std * std + to * to) / (std * std + sigma * sigma));
  }
};

/// A perfect eps network over a table of betas: the level of a timestep between two whole ones is log-linear, which is
/// what the schedulers' own way from sigma to timestep inverts.
class EpsNetwork {
 public:
  EpsNetwork(Mixture data, const NoiseSchedule& noise) : data_(std::move(data)), table_(noise) {}

  double sigma(double t) const {
    const auto& log_sigma = table_.log_sigmas();
    const auto i = std::min(static_cast<size_t>(std::max(t, 0.0)), log_sigma.size() - 2);
    const double w = std::max(t, 0.0) - static_cast<double>(i);
    return std::exp((1 - w) * static_cast<double>(log_sigma[i]) + w * static_cast<double>(log_sigma[i + 1]));
  }
  /// x as the network sees it: alpha x0 + sigma eps with alpha^2 + sigma^2 = 1.
  Tensor operator()(const Tensor& x, const Tensor& t) const {
    const double sigma = this->sigma(t.item<double>());
    const Tensor y = x * std::sqrt(1 + sigma * sigma);
    return (y - data_.denoised(y, sigma)) / sigma;
  }

 private:
  const Mixture data_;
  const SigmaTable table_;
};

}  // namespace unnoise::closed_form
