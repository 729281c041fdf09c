#include "unnoise/training/variational_bound.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>

#include <numbers>

#include "unnoise/core/error.h"
#include "unnoise/nn/beside.h"

namespace unnoise {
namespace {

/// What the posterior q(x_{t-1} | xt, x0) is made of, [T] each: its mean is x0_share x0 + xt_share xt (Ho et al. 2020,
/// eq. 7), its variance beta~, whose logarithm at t = 0 is taken from t = 1.
struct Posterior {
  Tensor x0_share, xt_share, log_variance, log_beta;
};

Posterior posterior(const NoiseSchedule& noise) {
  if (noise.num_train_timesteps() < 2)
    throw usage_error("a learned variance needs at least 2 training timesteps, found 1");
  const Tensor abar = noise.alphas_cumprod().to(at::kDouble), beta = noise.betas().to(at::kDouble);
  const Tensor before = at::cat({at::ones({1}, at::kDouble), abar.slice(0, 0, -1)});
  const Tensor variance = beta * (1 - before) / (1 - abar);
  return {beta * before.sqrt() / (1 - abar), (1 - before) * (1 - beta).sqrt() / (1 - abar),
          at::cat({variance.slice(0, 1, 2), variance.slice(0, 1)}).log(), beta.log()};
}

Tensor at_level(const Tensor& table, const Tensor& t, const Tensor& x) {
  return beside(table.to(at::kFloat).to(t.device()).index_select(0, t), x);
}

Tensor normal_cdf(const Tensor& x) { return 0.5 * (1 + at::erf(x / std::numbers::sqrt2)); }

/// -log of what N(mean, e^log_variance) gives to each pixel's bin of width 2/255, the outermost bins open.
Tensor discretized_nll(const Tensor& x0, const Tensor& mean, const Tensor& log_variance) {
  const Tensor inverse_std = (-0.5 * log_variance).exp();
  const Tensor above = normal_cdf((x0 - mean + 1.0 / 255) * inverse_std);
  const Tensor below = normal_cdf((x0 - mean - 1.0 / 255) * inverse_std);
  const Tensor share = at::where(x0 < -0.999, above, at::where(x0 > 0.999, 1 - below, above - below));
  return -share.clamp_min(1e-12).log();
}

}  // namespace

Tensor variational_bound(const NoiseSchedule& noise, const ReverseStep& step) {
  const Posterior q = posterior(noise);
  const auto of_t = [&](const Tensor& table) { return at_level(table, step.t, step.xt); };
  const Tensor x0_share = of_t(q.x0_share), xt_part = of_t(q.xt_share) * step.xt;
  const Tensor true_mean = x0_share * step.x0 + xt_part, mean = x0_share * step.x0_seen + xt_part;
  const Tensor true_log_variance = of_t(q.log_variance);
  const Tensor fraction = (step.variance + 1) / 2;
  const Tensor log_variance = fraction * of_t(q.log_beta) + (1 - fraction) * true_log_variance;

  const Tensor kl = 0.5 * (-1.0 + log_variance - true_log_variance + (true_log_variance - log_variance).exp() +
                           (true_mean - mean).square() * (-log_variance).exp());
  const Tensor nll = discretized_nll(step.x0, mean, log_variance);
  return at::where(beside(step.t == 0, kl), nll, kl).flatten(1).mean(1) / std::numbers::ln2;
}

}  // namespace unnoise
