#include "unnoise/training/train_step.h"

#include <ATen/TensorOperators.h>

#include <cmath>
#include <limits>

#include "unnoise/training/fused_update.h"

namespace unnoise {
namespace {

/// The end of a group: clip, move the weights, move their average, forget the gradients.
void update(const TrainParts& parts, TrainStepResult& result) {
  constexpr double kUnlimited = std::numeric_limits<double>::infinity();
  const double max_norm = parts.max_grad_norm > 0 ? parts.max_grad_norm : kUnlimited;
  result.grad_norm = fused_update(parts.optimizer, parts.ema, max_norm);
  const bool moved = result.grad_norm.has_value();
  if (!moved) result.grad_norm = clip_grad_norm(parts.optimizer.parameters(), max_norm);
  if (!std::isfinite(*result.grad_norm)) {
    result.outcome = StepOutcome::gradient_not_finite;
    return;
  }
  if (!moved) {
    parts.optimizer.step();
    if (parts.ema) parts.ema->step();
  }
  parts.optimizer.zero_grad();
  result.outcome = StepOutcome::updated;
}

}  // namespace

NoiseDraw draw_noise(const Tensor& x0, int64_t num_train_timesteps, Rng& rng) {
  const Tensor eps = rng.normal_like(x0);
  const Tensor t = rng.integers(num_train_timesteps, x0.size(0)).to(x0.device());
  return {eps, t};
}

TrainStepResult train_step(const TrainParts& parts, const MicroBatch& batch, const NoiseDraw& draw) {
  const auto& [eps, t] = draw;
  const Tensor& x0 = batch.x0;                          // 1 images
  const Tensor xt = parts.noise.add_noise(x0, eps, t);  // 2 add noise   Ho et al. 2020, eq. 4
  Tensor output;
  {
    const AutocastScope autocast(parts.precision, x0.device().type());
    output = parts.network(xt, t, batch.labels);  // 3 predict
  }
  const Loss loss = training_loss(parts.objective, parts.noise, output, x0, eps, t);  // 4 evaluate   eq. 14

  TrainStepResult result{.loss = loss.mean.item<double>(), .per_sample = loss.per_sample, .timesteps = t};
  if (!std::isfinite(result.loss)) {
    result.outcome = StepOutcome::loss_not_finite;
    return result;
  }
  (batch.weight == 1.0 ? loss.mean : loss.mean * batch.weight).backward();  // 5 update
  if (batch.ends_group) update(parts, result);
  return result;
}

TrainStepResult train_step(const TrainParts& parts, const MicroBatch& batch, Rng& rng) {
  return train_step(parts, batch, draw_noise(batch.x0, parts.noise.num_train_timesteps(), rng));
}

}  // namespace unnoise
